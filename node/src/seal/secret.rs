//! 32 secret bytes, and what is derived from them.

use std::sync::Arc;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::error::SealError;

/// Separates this system's derivations from any other use of the same key.
const SALT: &[u8] = b"bailiwick v1";

/// 32 secret bytes, wiped when dropped. (ring's own key schedules, which live for one call, are not.)
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

impl Secret {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for a primitive.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for one purpose: HKDF-SHA256 (RFC 5869) with the label as `info`. For one block of output
    /// that is two HMACs, which, unlike a call for any length, can't fail.
    #[must_use]
    pub fn derive(&self, label: &str) -> Self {
        let prk = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SALT), self.0.as_slice());
        let mut expand = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, prk.as_ref()));
        expand.update(label.as_bytes());
        expand.update(&[1]);
        Self(Zeroizing::new(bytes(&expand.sign())))
    }

    /// The keyed hash (HMAC-SHA256) of `parts`, each preceded by its length, so that no two lists of
    /// parts read alike.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            context.update(&length(part));
            context.update(part);
        }
        bytes(&context.sign())
    }

    /// The same, cut to 128 bits.
    #[must_use]
    pub fn mac16(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut out = [0; 16];
        for (to, from) in out.iter_mut().zip(self.mac(parts)) {
            *to = from;
        }
        out
    }
}

fn bytes(tag: &hmac::Tag) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    out
}

/// A part's length as it precedes the part.
pub(crate) fn length(part: &[u8]) -> [u8; 8] {
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()
}

/// Randomness for keys and nonces: the system's, or a test's.
pub trait Entropy: Send + Sync {
    /// Fills `out`.
    ///
    /// # Errors
    /// [`SealError::Crypto`] when the source fails.
    fn fill(&self, out: &mut [u8]) -> Result<(), SealError>;
}

impl Entropy for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), SealError> {
        SecureRandom::fill(self, out).map_err(|_| SealError::Crypto { what: "draw random bytes" })
    }
}

impl Entropy for Arc<dyn Entropy> {
    fn fill(&self, out: &mut [u8]) -> Result<(), SealError> {
        (**self).fill(out)
    }
}

/// Draws `N` bytes.
pub(crate) fn draw<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], SealError> {
    let mut out = [0; N];
    entropy.fill(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use ring::hkdf;

    use super::*;

    #[test]
    fn a_secret_does_not_show_and_labels_part_ways() {
        let secret = Secret::new([7; 32]);
        assert!(!format!("{secret:?}").contains('7'));
        assert_ne!(secret.derive("row").expose(), secret.derive("slot").expose());
        assert_eq!(secret.derive("row").expose(), secret.derive("row").expose());
    }

    #[test]
    fn derivation_is_hkdf() {
        let secret = Secret::new([7; 32]);
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret.expose());
        let mut expected = [0; 32];
        prk.expand(&[b"row"], hkdf::HKDF_SHA256).unwrap().fill(&mut expected).unwrap();
        assert_eq!(secret.derive("row").expose(), &expected);
    }

    #[test]
    fn parts_cannot_be_moved_across_their_borders() {
        let secret = Secret::new([7; 32]);
        assert_ne!(secret.mac(&[b"ab", b"c"]), secret.mac(&[b"a", b"bc"]));
        assert_ne!(secret.mac(&[b"abc"]), secret.mac(&[b"abc", b""]));
    }
}
