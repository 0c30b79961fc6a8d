//! Doors for the fuzzer to decoders that are nobody else's business. Only with the feature `fuzzing`.

use bailiwick_core::ids::UnixMillis;
use bytes::Bytes;

use crate::token::TokenVerifier;
use crate::wire;

/// The head of a stream, and a failure that a peer sent.
pub fn frames(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let _ = wire::Head::decode(bytes.clone());
    let _ = wire::decode_failure(bytes);
}

/// A token as it is, and its claims as if the signature held.
pub fn token(verifier: &TokenVerifier, bytes: &[u8], now: UnixMillis) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = verifier.verify(text, now);
    }
    if let Ok(claims) = serde_json::from_slice(bytes) {
        let _ = verifier.check_claims(claims, now);
    }
}
