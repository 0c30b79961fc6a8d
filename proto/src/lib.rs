//! The wire: messages of apps, routers, nodes and stores, and the list of what may cross a border.

pub mod export;
pub mod failure;
pub mod validate;

/// The public interface, `bailiwick.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::restriction)]
pub mod v1 {
    tonic::include_proto!("bailiwick.v1");

    /// The public services' descriptors, for server reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/public.bin"));
}

/// What a router asks of a node.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::restriction)]
pub mod edge {
    tonic::include_proto!("bailiwick.edge.v1");
}

/// What nodes say to each other outside Raft's own messages.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::restriction)]
pub mod peer {
    tonic::include_proto!("bailiwick.peer.v1");
}

/// What stands in logs, applied state and snapshots.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::restriction)]
pub mod store {
    tonic::include_proto!("bailiwick.store.v1");
}
