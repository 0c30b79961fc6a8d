//! Receipts: a person's choices, signed at home and carried by the app, for when home is out of reach.
//!
//! A receipt of a grant is believed for [`limits::RECEIPT_LIFE_MS`]. What it takes away holds for ever:
//! an old receipt still refuses, and still blocks, but grants nothing. So an app that sends an old one
//! can only be served less.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bailiwick_core::ids::{DomainId, IdError, ItemId, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::limits;
use bailiwick_core::policy::{Consent, SensitiveConsent, Toggle, Word as _, WordError};
use bailiwick_proto::store::{ReceiptBody, SignedReceipt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message as _;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

use crate::seal::{PersonDigest, SealError, Secret};
use crate::users::{Block, ConsentState};

/// The version of receipts.
const FORMAT: u32 = 1;
/// Bytes of a receipt's text: what fits into a header.
pub const RECEIPT_BYTES_MAX: usize = 8 << 10;
/// Bytes of a body, so that body, signature and base64 stay below [`RECEIPT_BYTES_MAX`].
const BODY_BYTES_MAX: usize = 6000;
/// Bytes of an audience.
const AUDIENCE_BYTES_MAX: usize = 256;
/// Parts receipts from whatever else a key might sign.
const CONTEXT: &[u8] = b"bailiwick receipt v1\0";

/// Why a receipt is not believed at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Too long to be one.
    #[error("the receipt has {found} bytes, at most {RECEIPT_BYTES_MAX} are allowed")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// Not a receipt.
    #[error("the receipt is not well-formed")]
    Malformed,
    /// Of a newer version.
    #[error("the receipt has format {found}, this version reads up to {FORMAT}")]
    Newer {
        /// The format found.
        found: u32,
    },
    /// Signed by a domain whose key is not known.
    #[error("the receipt is signed by {domain}, whose key is not known here")]
    UnknownDomain {
        /// The domain.
        domain: DomainId,
    },
    /// The signature is not the domain's.
    #[error("the receipt's signature does not hold")]
    Signature,
    /// Signed by a domain that is not the person's home.
    #[error("the receipt was signed in {found}, the person's home is {home}")]
    NotHome {
        /// The person's home.
        home: DomainId,
        /// Where it was signed.
        found: DomainId,
    },
    /// Another person's.
    #[error("the receipt is another person's")]
    OtherPerson,
    /// For another app.
    #[error("the receipt is for another audience")]
    OtherAudience,
    /// A word or name that this version doesn't know.
    #[error("the receipt is not understood: {0}")]
    Word(#[from] WordError),
    /// A name that is not valid.
    #[error("the receipt is not understood: {0}")]
    Name(#[from] IdError),
}

impl ReceiptError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::OtherPerson | Self::OtherAudience | Self::NotHome { .. } => Kind::Refused,
            _ => Kind::Invalid,
        }
    }
}

/// Signs receipts, at home.
#[derive(Debug)]
pub struct ReceiptSigner {
    domain: DomainId,
    pair: Ed25519KeyPair,
}

impl ReceiptSigner {
    /// The signer of a domain, from the seed in its keys directory.
    ///
    /// # Errors
    /// [`SealError::Crypto`] when the seed is not taken.
    pub fn new(domain: DomainId, seed: &Secret) -> Result<Self, SealError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose());
        let pair = pair.map_err(|_| SealError::Crypto { what: "take a signing key" })?;
        Ok(Self { domain, pair })
    }

    /// States a person's choices for one audience. `blocked` comes newest first; the oldest that do
    /// not fit (from about 50 long ids or 800 short ones on) are left out.
    #[must_use]
    pub fn issue(
        &self,
        state: &ConsentState,
        blocked: &[Block],
        person: &PersonDigest,
        audience: &str,
        now: UnixMillis,
    ) -> String {
        let mut body = ReceiptBody {
            format: FORMAT,
            domain: self.domain.as_str().to_owned(),
            person: person.as_bytes().to_vec(),
            audience: audience.chars().take(AUDIENCE_BYTES_MAX).collect(),
            consent: state.consent.as_str().to_owned(),
            sensitive: state.sensitive.as_str().to_owned(),
            toggle: state.toggle.as_str().to_owned(),
            blocked: Vec::new(),
            revision: state.revision,
            issued_ms: now.0,
        };
        body.blocked = fitting(blocked, BODY_BYTES_MAX.saturating_sub(body.encoded_len()));
        let body = body.encode_to_vec();
        let signature = self.pair.sign(&signed(&body)).as_ref().to_vec();
        URL_SAFE_NO_PAD.encode(SignedReceipt { format: FORMAT, body, signature }.encode_to_vec())
    }
}

/// As many blocks as fit into `room`, each with its tag and length.
fn fitting(blocked: &[Block], room: usize) -> Vec<String> {
    let mut left = room;
    let fits = |block: &&Block| {
        let bytes = block.item.as_str().len() + 3;
        left.checked_sub(bytes).inspect(|rest| left = *rest).is_some()
    };
    blocked.iter().take_while(fits).map(|block| block.item.as_str().to_owned()).collect()
}

fn signed(body: &[u8]) -> Vec<u8> {
    [CONTEXT, body].concat()
}

/// Whose receipt is expected: what the token proved.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The person.
    pub person: &'a PersonDigest,
    /// The domain that the person's home jurisdiction belongs to; no other may speak for them.
    pub home: &'a DomainId,
    /// The token's audience.
    pub audience: &'a str,
}

/// Whether a receipt is young enough to grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It speaks for now.
    Fresh,
    /// Too old, or from the future: only what it takes away counts.
    Untimely,
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiptFacts {
    /// The domain that signed it.
    pub domain: DomainId,
    /// Whether it may grant.
    pub freshness: Freshness,
    /// Consent; of an untimely receipt only `refused` and `withdrawn`, else `none`.
    pub consent: Consent,
    /// Sensitive attributes; of an untimely receipt only `no`, else `unset`.
    pub sensitive: SensitiveConsent,
    /// The switch; of an untimely receipt only `off`, else `unset`.
    pub toggle: Toggle,
    /// Items never to be shown, newest first.
    pub blocked: Vec<ItemId>,
    /// Log index of the last change of consent.
    pub revision: u64,
    /// When it was issued.
    pub issued: UnixMillis,
}

impl ReceiptFacts {
    /// The part that only takes away. It needs no date: each choice becomes what a person who never
    /// chose has, unless it is stricter than that.
    fn restrictions(self) -> Self {
        Self {
            freshness: Freshness::Untimely,
            consent: match self.consent {
                Consent::Refused | Consent::Withdrawn => self.consent,
                Consent::None | Consent::Granted | Consent::Parental => Consent::None,
            },
            sensitive: match self.sensitive {
                SensitiveConsent::No => SensitiveConsent::No,
                _ => SensitiveConsent::Unset,
            },
            toggle: match self.toggle {
                Toggle::Off => Toggle::Off,
                Toggle::On | Toggle::Unset => Toggle::Unset,
            },
            ..self
        }
    }
}

/// The public keys that domains sign receipts with.
#[derive(Debug, Clone, Default)]
pub struct ReceiptKeys(BTreeMap<DomainId, [u8; 32]>);

impl ReceiptKeys {
    /// Takes a key a domain.
    #[must_use]
    pub fn new(keys: BTreeMap<DomainId, [u8; 32]>) -> Self {
        Self(keys)
    }

    /// Reads a receipt and says what it proves of its holder at `now`.
    ///
    /// # Errors
    /// [`ReceiptError`] when it proves nothing: it is forged, another person's, app's or domain's, or
    /// not understood. One that is merely too old is no error.
    pub fn verify(
        &self,
        text: &str,
        holder: &Holder<'_>,
        now: UnixMillis,
    ) -> Result<ReceiptFacts, ReceiptError> {
        let body = self.open(text)?;
        let facts = facts(&body)?;
        if facts.domain != *holder.home {
            return Err(ReceiptError::NotHome { home: holder.home.clone(), found: facts.domain });
        }
        if body.person != holder.person.as_bytes() {
            return Err(ReceiptError::OtherPerson);
        }
        if body.audience != holder.audience {
            return Err(ReceiptError::OtherAudience);
        }
        let age_ms = now.0.saturating_sub(body.issued_ms);
        let timely = (-limits::CLOCK_SKEW_MS_MAX..=limits::RECEIPT_LIFE_MS).contains(&age_ms);
        Ok(if timely { facts } else { facts.restrictions() })
    }

    /// The body of a receipt whose signature holds.
    pub(crate) fn open(&self, text: &str) -> Result<ReceiptBody, ReceiptError> {
        if text.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLong { found: text.len() });
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ReceiptError::Malformed)?;
        let receipt =
            SignedReceipt::decode(bytes.as_slice()).map_err(|_| ReceiptError::Malformed)?;
        check_format(receipt.format)?;
        let body = ReceiptBody::decode(receipt.body.as_slice());
        let body = body.map_err(|_| ReceiptError::Malformed)?;
        let domain = DomainId::new(body.domain.as_str())?;
        let key = self.0.get(&domain).ok_or(ReceiptError::UnknownDomain { domain })?;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&signed(&receipt.body), &receipt.signature)
            .map_err(|_| ReceiptError::Signature)?;
        check_format(body.format)?;
        Ok(body)
    }
}

fn check_format(found: u32) -> Result<(), ReceiptError> {
    match found {
        0 => Err(ReceiptError::Malformed),
        found if found > FORMAT => Err(ReceiptError::Newer { found }),
        _ => Ok(()),
    }
}

pub(crate) fn facts(body: &ReceiptBody) -> Result<ReceiptFacts, ReceiptError> {
    Ok(ReceiptFacts {
        domain: DomainId::new(body.domain.as_str())?,
        freshness: Freshness::Fresh,
        consent: body.consent.parse()?,
        sensitive: body.sensitive.parse()?,
        toggle: body.toggle.parse()?,
        blocked: body.blocked.iter().map(ItemId::new).collect::<Result<_, _>>()?,
        revision: body.revision,
        issued: UnixMillis(body.issued_ms),
    })
}
