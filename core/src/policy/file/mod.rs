//! A pack file: what a compliance officer edits, diffs and signs.

mod canonical;
mod checks;
mod error;
mod read;
mod reader;
mod rules;
mod schema;
mod sections;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

pub use canonical::PackHash;
pub use error::{PackError, PackErrors};
pub use rules::{AgeRule, Delegated, FromAge, LegalBasis, Transfer};
pub(crate) use rules::{Values, lay_out};

use super::effective::Fields;
use super::vocabulary::{Factor, Service};
use super::word::WordSet;
use crate::ids::{DomainId, Jurisdiction};

/// Bytes of a pack file.
pub const PACK_BYTES_MAX: usize = 256 << 10;
/// The id of the built-in bottom; no file may take it.
pub const STRICT_ID: &str = "STRICT";

/// To whom a pack applies.
pub type Applies = WordSet<Factor>;

/// A pack as its file says it, checked on its own. What it inherits is added by the set it joins.
#[derive(Debug, Clone, PartialEq)]
pub struct PackFile {
    pub(crate) pack: Jurisdiction,
    pub(crate) version: u32,
    pub(crate) title: String,
    pub(crate) inherits: Option<Jurisdiction>,
    pub(crate) domain: Option<DomainId>,
    pub(crate) applies: Applies,
    pub(crate) effective_from: Date,
    pub(crate) effective_to: Option<Date>,
    pub(crate) review_by: Option<Date>,
    pub(crate) set: BTreeMap<Box<str>, u8>,
    pub(crate) delegated: BTreeMap<Box<str>, Delegated>,
    pub(crate) legal_basis: Vec<LegalBasis>,
    pub(crate) age_rules: Vec<AgeRule>,
    pub(crate) transfers: Vec<Transfer>,
    /// Every field but the age rules, which wait for the values of delegated fields.
    pub(crate) fields: Fields,
    /// Paths of the fields that the file names.
    pub(crate) named: BTreeSet<String>,
    pub(crate) hash: PackHash,
    pub(crate) text: Arc<str>,
}

impl PackFile {
    /// Reads and checks a pack file.
    ///
    /// # Errors
    /// [`PackErrors`] with every fault of the file: what is not TOML, unknown fields, wrong types, words
    /// outside their vocabulary, missing fields, and the rules a pack must satisfy on its own.
    pub fn parse(text: &str) -> Result<Self, PackErrors> {
        read::read(text)
    }

    /// The pack id that an unreadable text most likely has: that pack then counts as STRICT.
    #[must_use]
    pub fn id_in(text: &str) -> Option<Jurisdiction> {
        read::id_in(text)
    }

    /// The jurisdiction.
    #[must_use]
    pub fn pack(&self) -> &Jurisdiction {
        &self.pack
    }

    /// The version, from 1.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The name for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The parent pack; none for a root.
    #[must_use]
    pub fn inherits(&self) -> Option<&Jurisdiction> {
        self.inherits.as_ref()
    }

    /// The domain where this home's linked data lives; none means the parent's.
    #[must_use]
    pub fn domain(&self) -> Option<&DomainId> {
        self.domain.as_ref()
    }

    /// To whom it applies.
    #[must_use]
    pub fn applies(&self) -> Applies {
        self.applies
    }

    /// The first day in force.
    #[must_use]
    pub fn effective_from(&self) -> Date {
        self.effective_from
    }

    /// The last day in force.
    #[must_use]
    pub fn effective_to(&self) -> Option<Date> {
        self.effective_to
    }

    /// The day by which someone should look again.
    #[must_use]
    pub fn review_by(&self) -> Option<Date> {
        self.review_by
    }

    /// Where the law says so.
    #[must_use]
    pub fn legal_basis(&self) -> &[LegalBasis] {
        &self.legal_basis
    }

    /// The age rules.
    #[must_use]
    pub fn age_rules(&self) -> &[AgeRule] {
        &self.age_rules
    }

    /// The age rule of this file that applies, given the values of delegated fields; none leaves it to
    /// the parent.
    #[must_use]
    pub fn rule_for(
        &self,
        values: &BTreeMap<Box<str>, u8>,
        service: Service,
        age: u8,
    ) -> Option<&AgeRule> {
        rules::rule_for(&self.age_rules, values, service, age)
    }

    /// What lets data go to other domains.
    #[must_use]
    pub fn transfers(&self) -> &[Transfer] {
        &self.transfers
    }

    /// Whether the file itself says something about the field at `path`.
    #[must_use]
    pub fn names(&self, path: &str) -> bool {
        self.named.contains(path)
    }

    /// The SHA-256 of the canonical content, which a signature covers.
    #[must_use]
    pub fn hash(&self) -> PackHash {
        self.hash
    }

    /// The file's text, as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first day on which the pack has expired: 90 days after `review_by`.
    #[must_use]
    pub fn expires_on(&self) -> Option<Date> {
        self.review_by.map(|day| day.saturating_add(jiff::Span::new().days(REVIEW_GRACE_DAYS)))
    }
}

/// Days after `review_by` when a pack has expired.
pub const REVIEW_GRACE_DAYS: i64 = 90;
