//! QUIC, identity and links between nodes.
