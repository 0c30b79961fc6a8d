//! Where a slate's chance comes from: the request itself, so that the same request gets the same slate again.

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::learning::Draws;
use bailiwick_core::policy::{Decision, Ratio};
use bailiwick_proto::v1;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::State;
use super::caller::Caller;

/// Keeps these hashes apart from all others.
const PURPOSE: &[u8] = b"bailiwick exploration 1";
const DAY_MS: i64 = 24 * 3_600_000;

impl State {
    /// Whether the operator lets chance bring anything.
    pub(super) fn explores(&self) -> bool {
        self.ranking.exploration_share_max > Ratio::ZERO
    }

    /// Chance for one request; none away from home, where how likely something was may not be kept.
    pub(super) fn draws(
        &self,
        caller: &Caller,
        decision: &Decision,
        asked: v1::RecommendRequest,
    ) -> Option<Draws> {
        if decision.home_domain.as_ref() != Some(self.domain()) {
            return None;
        }
        let key = caller.person().map(|(issuer, subject)| self.people.key(issuer, subject));
        let person = key.as_ref().map_or(&[][..], |key| key.as_bytes());
        Some(draws(person, (self.clock)(), asked))
    }
}

/// The same for a person, a UTC day and a request, whatever receipt or revision comes with it: these may differ
/// where an app asks again.
fn draws(person: &[u8], now: UnixMillis, asked: v1::RecommendRequest) -> Draws {
    let asked = v1::RecommendRequest { revision: None, receipt: None, ..asked };
    let mut hash = Sha256::new();
    hash.update(PURPOSE);
    // Fixed lengths first, so that no two things hash the same bytes.
    hash.update(now.0.div_euclid(DAY_MS).to_le_bytes());
    hash.update(u64::try_from(person.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.update(person);
    hash.update(asked.encode_to_vec());
    let hash: [u8; 32] = hash.finalize().into();
    Draws::new(hash.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_again_meets_the_same_chance() {
        let asked = v1::RecommendRequest { limit: Some(20), ..Default::default() };
        let now = UnixMillis(40 * DAY_MS);
        let first = draws(b"person", now, asked.clone());
        let again = v1::RecommendRequest {
            receipt: Some("newer".into()),
            revision: Some("newer".into()),
            ..asked.clone()
        };
        assert_eq!(draws(b"person", now.plus(1000), again), first);
        for other in [
            draws(b"somebody", now, asked.clone()),
            draws(b"", now, asked.clone()),
            draws(b"person", now.plus(DAY_MS), asked.clone()),
            draws(b"person", now, v1::RecommendRequest { limit: Some(21), ..asked }),
        ] {
            assert_ne!(other, first);
        }
    }
}
