//! The key of one person (or of one day's salt), and sealing with it.

use bailiwick_core::ids::GroupId;
use bailiwick_proto::store::Sealed;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::error::SealError;
use super::secret::{Entropy, Secret, draw, length};

/// Where a sealed value belongs. It is bound as associated data: moved to another group, person or
/// kind of row, the value can't be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Vec<u8>);

impl Place {
    /// A place named by its group, what the value is, and the key it stands under.
    #[must_use]
    pub fn new(group: &GroupId, what: &str, key: &[u8]) -> Self {
        let group = group.to_string();
        let mut out = Vec::with_capacity(group.len() + what.len() + key.len() + 24);
        for part in [group.as_bytes(), what.as_bytes(), key] {
            out.extend(length(part));
            out.extend_from_slice(part);
        }
        Self(out)
    }

    /// The row under `key`, whose first byte is its kind.
    #[must_use]
    pub fn row(group: &GroupId, key: &[u8]) -> Self {
        Self::new(group, "row", key)
    }
}

/// The moment a row was written: log index and the row's place among the writes of that command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowMoment {
    /// The command's index in the log.
    pub index: u64,
    /// The write's number inside the command.
    pub ordinal: u32,
}

/// A data key. Sub-keys keep its uses apart: bodies in the log, rows, and keyed hashes.
#[derive(Debug, Clone)]
pub struct DataKey(Secret);

impl DataKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`SealError::Crypto`] when the entropy source fails.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, SealError> {
        draw(entropy).map(|bytes| Self(Secret::new(bytes)))
    }

    pub(super) fn from_secret(secret: Secret) -> Self {
        Self(secret)
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.0
    }

    /// Seals a body for the log or the buffer. Its nonce is random, drawn where it is proposed: at
    /// 96 bits a person may have 2^32 bodies before a repeat is likelier than 2^-32.
    ///
    /// # Errors
    /// [`SealError::Crypto`].
    pub fn seal_body(
        &self,
        entropy: &dyn Entropy,
        place: &Place,
        plain: &[u8],
    ) -> Result<Sealed, SealError> {
        seal(&self.0.derive("log"), draw(entropy)?, place, plain)
    }

    /// Opens a body.
    ///
    /// # Errors
    /// [`SealError::Unopened`].
    pub fn open_body(&self, place: &Place, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        open(&self.0.derive("log"), place, sealed, "a body")
    }

    /// Seals a row while a command is applied, with the same bytes on every replica.
    ///
    /// The nonce is a keyed hash of log index, ordinal, place and content. Index and ordinal alone
    /// would be unique inside one incarnation of a group, where an index is applied once; but a key
    /// may meet the same index again in a later incarnation (a buffered command that carries it, a
    /// move between groups), and there a counter would repeat under other content, which breaks the
    /// cipher. This nonce repeats only with all of its inputs, and then the sealed bytes repeat too
    /// and tell nothing new. (Accidents have 2^-96 a pair, as with random nonces.)
    ///
    /// # Errors
    /// [`SealError::Crypto`].
    pub fn seal_row(
        &self,
        moment: RowMoment,
        place: &Place,
        plain: &[u8],
    ) -> Result<Sealed, SealError> {
        let index = moment.index.to_be_bytes();
        let ordinal = moment.ordinal.to_be_bytes();
        let hash = self.0.derive("row nonce").mac(&[&index, &ordinal, &place.0, plain]);
        let mut nonce = [0; NONCE_LEN];
        for (to, from) in nonce.iter_mut().zip(hash) {
            *to = from;
        }
        seal(&self.0.derive("row"), nonce, place, plain)
    }

    /// Opens a row.
    ///
    /// # Errors
    /// [`SealError::Unopened`].
    pub fn open_row(&self, place: &Place, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        open(&self.0.derive("row"), place, sealed, "a row")
    }

    /// A keyed hash that names something of the person's in a row key, and falls with the data key.
    #[must_use]
    pub fn mark(&self, what: &str, parts: &[&[u8]]) -> [u8; 16] {
        let parts: Vec<&[u8]> =
            std::iter::once(what.as_bytes()).chain(parts.iter().copied()).collect();
        self.0.derive("ids").mac16(&parts)
    }
}

fn cipher(key: &Secret) -> Result<LessSafeKey, SealError> {
    UnboundKey::new(&CHACHA20_POLY1305, key.expose())
        .map(LessSafeKey::new)
        .map_err(|_| SealError::Crypto { what: "take a key" })
}

/// Seals `plain` with ChaCha20-Poly1305 (RFC 8439), constant-time without help of the processor.
pub(super) fn seal(
    key: &Secret,
    nonce: [u8; NONCE_LEN],
    place: &Place,
    plain: &[u8],
) -> Result<Sealed, SealError> {
    let mut sealed = plain.to_vec();
    cipher(key)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(place.0.as_slice()),
            &mut sealed,
        )
        .map_err(|_| SealError::Crypto { what: "seal" })?;
    Ok(Sealed { nonce: nonce.to_vec(), sealed })
}

/// Opens what [`seal`] made for the same place.
pub(super) fn open(
    key: &Secret,
    place: &Place,
    sealed: &Sealed,
    what: &'static str,
) -> Result<Vec<u8>, SealError> {
    let unopened = || SealError::Unopened { what };
    let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce).map_err(|_| unopened())?;
    let mut plain = sealed.sealed.clone();
    let length = cipher(key)?
        .open_in_place(nonce, Aad::from(place.0.as_slice()), &mut plain)
        .map_err(|_| unopened())?
        .len();
    plain.truncate(length);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str) -> GroupId {
        text.parse().unwrap()
    }

    fn sealed_row(key: &DataKey) -> Sealed {
        let moment = RowMoment { index: 7, ordinal: 0 };
        key.seal_row(moment, &Place::row(&group("users-eu-0"), b"palice"), b"likes jazz").unwrap()
    }

    /// Opens a row sealed for key `palice` of `users-eu-0` somewhere else.
    fn check(key: u8, at_group: &str, at_key: &[u8], opens: bool) {
        let sealed = sealed_row(&DataKey(Secret::new([1; 32])));
        let found = DataKey(Secret::new([key; 32]))
            .open_row(&Place::row(&group(at_group), at_key), &sealed);
        assert_eq!(found.is_ok(), opens, "{key} {at_group} {at_key:?}");
    }

    #[test]
    fn a_row_opens_only_where_it_was_sealed() {
        check(1, "users-eu-0", b"palice", true);
        check(2, "users-eu-0", b"palice", false);
        check(1, "users-eu-1", b"palice", false);
        check(1, "users-eu-0", b"pbob", false);
        check(1, "users-eu-0", b"calice", false);
    }

    #[test]
    fn a_row_is_the_same_on_every_replica_and_another_at_every_moment() {
        let key = DataKey(Secret::new([1; 32]));
        assert_eq!(sealed_row(&key), sealed_row(&key));
        let place = Place::row(&group("users-eu-0"), b"palice");
        let at = |index, ordinal| {
            key.seal_row(RowMoment { index, ordinal }, &place, b"likes jazz").unwrap()
        };
        assert_ne!(at(7, 0), at(7, 1));
        assert_ne!(at(7, 0), at(8, 0));
    }

    #[test]
    fn a_counter_that_repeats_does_not_repeat_the_nonce() {
        let key = DataKey(Secret::new([1; 32]));
        let place = Place::row(&group("users-eu-0"), b"palice");
        let moment = RowMoment { index: 7, ordinal: 0 };
        let one = key.seal_row(moment, &place, b"likes jazz").unwrap();
        let other = key.seal_row(moment, &place, b"likes rock").unwrap();
        assert_ne!(one.nonce, other.nonce);
    }

    #[test]
    fn a_row_is_not_a_body() {
        let key = DataKey(Secret::new([1; 32]));
        let place = Place::row(&group("users-eu-0"), b"palice");
        assert!(key.open_body(&place, &sealed_row(&key)).is_err());
    }
}
