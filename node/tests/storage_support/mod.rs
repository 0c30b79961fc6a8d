//! What the tests of the storage share.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test takes what it needs")]

pub mod log;
pub mod state;
