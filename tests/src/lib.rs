//! Whole-cluster tests: starting clusters, asking them, hurting them.
