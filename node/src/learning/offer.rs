//! The agreement on secrets: one key a pair and run, used once.

use std::collections::BTreeMap;

use bailiwick_core::ids::DomainId;
use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use ring::rand::SecureRandom;

use super::{PairMasks, SumError};
use crate::seal::Secret;

/// Names a run of learning: no two share a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(pub [u8; 16]);

/// A domain's private keys of a run, one for every other domain.
pub struct Offer {
    run: RunId,
    own: DomainId,
    keys: BTreeMap<DomainId, (EphemeralPrivateKey, Vec<u8>)>,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer")
            .field("run", &self.run)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl Offer {
    /// Makes a key (X25519, RFC 7748) for each domain in `parties` but `own`.
    ///
    /// # Errors
    /// [`SumError::Alone`] when there is no other, [`SumError::Agreement`] when no key can be drawn.
    pub fn new<'a>(
        run: RunId,
        own: &DomainId,
        parties: impl IntoIterator<Item = &'a DomainId>,
        random: &dyn SecureRandom,
    ) -> Result<Self, SumError> {
        let keys: BTreeMap<_, _> = parties
            .into_iter()
            .filter(|party| *party != own)
            .map(|party| Ok((party.clone(), pair(party, random)?)))
            .collect::<Result<_, SumError>>()?;
        if keys.is_empty() {
            return Err(SumError::Alone { domains: 1 });
        }
        Ok(Self { run, own: own.clone(), keys })
    }

    /// The public keys, each for one domain alone, which the others are to be sent.
    #[must_use]
    pub fn public(&self) -> BTreeMap<DomainId, Vec<u8>> {
        self.keys.iter().map(|(peer, (_, public))| (peer.clone(), public.clone())).collect()
    }

    /// Agrees with everyone: `theirs` holds, by domain, the key that it made for this one.
    ///
    /// # Errors
    /// [`SumError::NoKey`] when one is missing, [`SumError::Agreement`] when one is no key.
    pub fn agree(self, theirs: &BTreeMap<DomainId, Vec<u8>>) -> Result<PairMasks, SumError> {
        let Self { run, own, keys } = self;
        let secrets = keys
            .into_iter()
            .map(|(peer, (private, _))| {
                let public = theirs.get(&peer);
                let public = public.ok_or_else(|| SumError::NoKey { peer: peer.clone() })?;
                let secret = secret(private, public, run, &own, &peer)?;
                Ok((peer, secret))
            })
            .collect::<Result<_, SumError>>()?;
        Ok(PairMasks::new(own, secrets))
    }
}

fn pair(
    peer: &DomainId,
    random: &dyn SecureRandom,
) -> Result<(EphemeralPrivateKey, Vec<u8>), SumError> {
    let failed = |_| SumError::Agreement { peer: peer.clone() };
    let private = EphemeralPrivateKey::generate(&X25519, random).map_err(failed)?;
    let public = private.compute_public_key().map_err(failed)?;
    Ok((private, public.as_ref().to_vec()))
}

/// The shared secret, bound to the run and to the two domains in one order for both.
fn secret(
    private: EphemeralPrivateKey,
    public: &[u8],
    run: RunId,
    own: &DomainId,
    peer: &DomainId,
) -> Result<Secret, SumError> {
    let (first, second) = (own.min(peer), own.max(peer));
    agreement::agree_ephemeral(private, &UnparsedPublicKey::new(&X25519, public), |raw| {
        // RFC 7748 asks that what is agreed on is hashed before use.
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(raw).for_each(|(to, from)| *to = *from);
        let parts = [&b"mask"[..], &run.0, first.as_str().as_bytes(), second.as_str().as_bytes()];
        Secret::new(Secret::new(bytes).derive("learning").mac(&parts))
    })
    .map_err(|_| SumError::Agreement { peer: peer.clone() })
}
