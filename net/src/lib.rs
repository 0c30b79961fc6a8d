//! QUIC, identity and links between nodes: the only code that puts peer bytes on a wire.
//!
//! A peer is who its certificate says ([`identity`], [`tls`]). The handshake makes its connection a
//! domestic or a foreign [`link`], once; a foreign link has no way to send pinned data. Two
//! [`transport`]s, QUIC and memory, pass one suite of tests. The [`mesh`] keeps the connections, and
//! the [`supervisor`] every background task of the process.

pub mod backoff;
pub mod book;
pub mod dice;
mod dispatch;
pub mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod grpc;
pub mod handler;
pub mod identity;
pub mod lane;
pub mod link;
pub mod memory;
mod memory_wire;
pub mod mesh;
pub mod metrics;
pub mod peer;
pub mod pki;
pub mod quic;
pub mod secret;
pub mod stream;
pub mod supervisor;
pub mod tls;
pub mod token;
pub mod transport;
pub mod trust;
mod watch;
mod weather;
mod wire;

pub use error::{CallError, NetError, StreamError};
pub use handler::{Answer, Exported, Handler};
pub use identity::{Expect, Identity, Role};
pub use lane::{Lane, LaneKind};
pub use link::{AnyLink, Link};
pub use mesh::{Mesh, MeshConfig};
pub use metrics::NetMetrics;
pub use peer::{Domestic, Foreign, Peer};
pub use stream::{AnySender, FrameReceiver, FrameSender};
pub use supervisor::Supervisor;
pub use trust::{Credentials, TrustBundle};
