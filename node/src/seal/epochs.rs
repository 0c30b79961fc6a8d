//! Key-encryption keys by epoch: what wraps data keys.

use std::collections::BTreeMap;

use bailiwick_proto::store::{Sealed, WrappedKey};

use super::data_key::{DataKey, Place, open, seal};
use super::error::SealError;
use super::secret::{Entropy, Secret, draw};

/// Wraps and unwraps data keys: the seam for a key-management service.
///
/// A service that is asked over the network holds its answers for as long as it vouches for them:
/// unwrapping happens while commands are applied, which waits for nobody.
pub trait KeyRing: Send + Sync {
    /// The epoch that new wrappings are made under.
    fn current_epoch(&self) -> u32;

    /// The oldest epoch that there is a key of.
    fn oldest_epoch(&self) -> u32;

    /// Wraps a data key under the current epoch, for one place.
    ///
    /// # Errors
    /// [`SealError::Crypto`].
    fn wrap(&self, key: &DataKey, place: &Place) -> Result<WrappedKey, SealError>;

    /// Unwraps a data key that was wrapped for this place.
    ///
    /// # Errors
    /// [`SealError::UnknownEpoch`] or [`SealError::OtherEpochKey`] when this node lacks the key,
    /// [`SealError::Unopened`] when the wrapping is another place's or damaged.
    fn unwrap_key(&self, wrapped: &WrappedKey, place: &Place) -> Result<DataKey, SealError>;
}

/// The epochs of this node, held in memory.
pub struct EpochRing {
    epochs: BTreeMap<u32, Epoch>,
    newest: u32,
    entropy: Box<dyn Entropy>,
}

struct Epoch {
    wrapping: Secret,
    check: [u8; 16],
}

impl std::fmt::Debug for EpochRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EpochRing").field("epochs", &self.epochs.keys()).finish_non_exhaustive()
    }
}

impl EpochRing {
    /// A ring of these keys, by epoch from 1 on; none without a key.
    #[must_use]
    pub fn new(keys: &BTreeMap<u32, Secret>, entropy: Box<dyn Entropy>) -> Option<Self> {
        let newest = *keys.keys().next_back().filter(|epoch| **epoch > 0)?;
        let epochs = keys
            .iter()
            .map(|(epoch, key)| {
                let check = key.derive("epoch check").mac16(&[&epoch.to_be_bytes()]);
                (*epoch, Epoch { wrapping: key.derive("epoch wrapping"), check })
            })
            .collect();
        Some(Self { epochs, newest, entropy })
    }

    fn epoch(&self, epoch: u32) -> Result<&Epoch, SealError> {
        self.epochs.get(&epoch).ok_or(SealError::UnknownEpoch { epoch, newest: self.newest })
    }
}

impl KeyRing for EpochRing {
    fn current_epoch(&self) -> u32 {
        self.newest
    }

    fn oldest_epoch(&self) -> u32 {
        self.epochs.keys().next().copied().unwrap_or(self.newest)
    }

    fn wrap(&self, key: &DataKey, place: &Place) -> Result<WrappedKey, SealError> {
        let epoch = self.epoch(self.newest)?;
        let nonce = draw(self.entropy.as_ref())?;
        let sealed = seal(&epoch.wrapping, nonce, place, key.secret().expose())?;
        Ok(WrappedKey {
            epoch: self.newest,
            nonce: sealed.nonce,
            sealed: sealed.sealed,
            check: epoch.check.to_vec(),
        })
    }

    fn unwrap_key(&self, wrapped: &WrappedKey, place: &Place) -> Result<DataKey, SealError> {
        let epoch = self.epoch(wrapped.epoch)?;
        if wrapped.check != epoch.check {
            return Err(SealError::OtherEpochKey { epoch: wrapped.epoch });
        }
        let sealed = Sealed { nonce: wrapped.nonce.clone(), sealed: wrapped.sealed.clone() };
        let plain = zeroize::Zeroizing::new(open(&epoch.wrapping, place, &sealed, "a data key")?);
        let bytes: [u8; 32] =
            plain.as_slice().try_into().map_err(|_| SealError::Malformed { what: "a data key" })?;
        Ok(DataKey::from_secret(Secret::new(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    fn ring_of(keys: &[(u32, u8)]) -> EpochRing {
        let keys = keys.iter().map(|(epoch, byte)| (*epoch, Secret::new([*byte; 32]))).collect();
        EpochRing::new(&keys, Box::new(SystemRandom::new())).unwrap()
    }

    fn place(key: &[u8]) -> Place {
        Place::row(&"users-eu-0".parse().unwrap(), key)
    }

    /// What the ring of `keys` says to a key that epoch 1 (of bytes 1) wrapped for alice.
    fn check(keys: &[(u32, u8)], person: &[u8], expected: &str) {
        let data_key = DataKey::generate(&SystemRandom::new()).unwrap();
        let wrapped = ring_of(&[(1, 1)]).wrap(&data_key, &place(b"alice")).unwrap();
        let found = match ring_of(keys).unwrap_key(&wrapped, &place(person)) {
            Ok(key) => format!("same {}", key.secret().expose() == data_key.secret().expose()),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn a_wrapped_key_opens_with_its_epoch_and_for_its_person() {
        check(&[(1, 1)], b"alice", "same true");
        check(&[(1, 1), (2, 2)], b"alice", "same true");
        check(&[(1, 1)], b"bob", "can't be opened");
        check(&[(2, 2)], b"alice", "no key for epoch 1");
        check(&[(1, 9)], b"alice", "wrong key file");
    }

    #[test]
    fn new_wrappings_are_made_under_the_highest_epoch() {
        let ring = ring_of(&[(3, 3), (1, 1)]);
        let key = DataKey::generate(&SystemRandom::new()).unwrap();
        assert_eq!(ring.wrap(&key, &place(b"alice")).unwrap().epoch, 3);
        assert!(EpochRing::new(&BTreeMap::new(), Box::new(SystemRandom::new())).is_none());
    }
}
