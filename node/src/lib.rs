//! Stores, Raft groups, recommend and services of one node.
