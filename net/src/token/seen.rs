//! Tokens whose signature was right once, so that it is not checked again with every request.
//!
//! Kept are a token's claims, by the digest of the whole token, beside the very key that it was checked with: once
//! the key set is another, nothing of it counts any more. What depends on the time is looked at each time. A token
//! with a wrong signature is never kept, so nobody can push out what others need.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::claims::Claims;
use super::keys::VerifyingKey;

/// Tokens that are kept; those used longest ago go first.
const TOKENS_MAX: NonZeroUsize = NonZeroUsize::new(2048).unwrap();

/// What a token is found by.
type Digest = [u8; SHA256_OUTPUT_LEN];

struct Entry {
    kid: String,
    key: Arc<VerifyingKey>,
    claims: Arc<Claims>,
}

pub(super) struct Seen(Mutex<LruCache<Digest, Entry>>);

impl Default for Seen {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(TOKENS_MAX)))
    }
}

impl Seen {
    fn entries(&self) -> MutexGuard<'_, LruCache<Digest, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The claims of a token that was seen, if `find` still has the same key under its name.
    pub(super) fn claims(
        &self,
        token: &str,
        find: impl FnOnce(&str) -> Option<Arc<VerifyingKey>>,
    ) -> Option<Arc<Claims>> {
        let digest = digest_of(token)?;
        let mut entries = self.entries();
        let entry = entries.get(&digest)?;
        let same = find(&entry.kid).is_some_and(|key| Arc::ptr_eq(&key, &entry.key));
        let claims = Arc::clone(&entry.claims);
        if !same {
            entries.pop(&digest);
        }
        same.then_some(claims)
    }

    /// Keeps the claims of a token whose signature is that of `key`.
    pub(super) fn keep(
        &self,
        token: &str,
        kid: String,
        key: Arc<VerifyingKey>,
        claims: Arc<Claims>,
    ) {
        if let Some(digest) = digest_of(token) {
            self.entries().put(digest, Entry { kid, key, claims });
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.entries().len()
    }
}

fn digest_of(token: &str) -> Option<Digest> {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().ok()
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").finish_non_exhaustive()
    }
}
