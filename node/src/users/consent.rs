//! A person's consent, switch and declared interests.

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::limits;
use bailiwick_core::policy::{Consent, SensitiveConsent, Toggle, Word as _, WordError};
use bailiwick_proto::store::{ConsentChange, ConsentRow, InterestsRow};
use prost::Message as _;

use super::outcome::Refused;
use super::schema::{FORMAT, ROW_BYTES_MAX};

/// A person's choices as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentState {
    /// Consent to the use of stored data.
    pub consent: Consent,
    /// Consent to the use of sensitive attributes.
    pub sensitive: SensitiveConsent,
    /// The switch.
    pub toggle: Toggle,
    /// Log index of the last change, 0 before the first.
    pub revision: u64,
    /// When that was.
    pub changed: UnixMillis,
    /// When the person asked for what stands, by the clock of the edge that they asked.
    pub asked: UnixMillis,
}

impl Default for ConsentState {
    fn default() -> Self {
        Self {
            consent: Consent::None,
            // Nobody has asked, and nothing sensitive is known.
            sensitive: SensitiveConsent::Na,
            toggle: Toggle::Unset,
            revision: 0,
            changed: UnixMillis(0),
            asked: UnixMillis(0),
        }
    }
}

impl ConsentState {
    /// Reads a row. A word that this version doesn't know is an error, never a guess.
    pub(super) fn of(row: &ConsentRow) -> Result<Self, WordError> {
        Ok(Self {
            consent: row.consent.parse()?,
            sensitive: row.sensitive.parse()?,
            toggle: row.toggle.parse()?,
            revision: row.revision,
            changed: UnixMillis(row.changed_ms),
            asked: UnixMillis(row.asked_ms),
        })
    }

    pub(super) fn to_row(&self) -> ConsentRow {
        ConsentRow {
            format: FORMAT,
            consent: self.consent.as_str().to_owned(),
            sensitive: self.sensitive.as_str().to_owned(),
            toggle: self.toggle.as_str().to_owned(),
            revision: self.revision,
            changed_ms: self.changed.0,
            asked_ms: self.asked.0,
        }
    }

    /// The state after `patch`. One that changes nothing leaves the revision as it is.
    ///
    /// # Errors
    /// [`Refused`] when a later choice stands. A change whose outcome was not known to the app, since a message of
    /// it was held up, may arrive after another one was acknowledged, and must not undo it.
    pub(super) fn patched(
        &self,
        patch: &ConsentPatch,
        revision: u64,
        changed: UnixMillis,
    ) -> Result<Self, Refused> {
        // An edge whose clock is ahead must not shut out what others are asked after it.
        let asked = if patch.asked.0 == 0 { changed } else { patch.asked.min(changed) };
        if asked < self.asked {
            return Err(Refused::late());
        }
        let after = Self {
            consent: patch.consent.unwrap_or(self.consent),
            sensitive: patch.sensitive.unwrap_or(self.sensitive),
            toggle: patch.toggle.unwrap_or(self.toggle),
            ..self.clone()
        };
        let after = if after == *self { after } else { Self { revision, changed, ..after } };
        Ok(Self { asked, ..after })
    }
}

/// A change of a person's choices; absent ones stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsentPatch {
    /// Consent to the use of stored data.
    pub consent: Option<Consent>,
    /// Consent to the use of sensitive attributes.
    pub sensitive: Option<SensitiveConsent>,
    /// The switch.
    pub toggle: Option<Toggle>,
    /// When the person asked for it, by the clock of the edge that they asked; 0: when it is applied.
    pub asked: UnixMillis,
}

impl ConsentPatch {
    pub(super) fn of(change: &ConsentChange) -> Result<Self, Refused> {
        let bad = |error: WordError| Refused::malformed(error.to_string());
        let patch = Self {
            consent: change.consent.as_deref().map(str::parse).transpose().map_err(bad)?,
            sensitive: change.sensitive.as_deref().map(str::parse).transpose().map_err(bad)?,
            toggle: change.toggle.as_deref().map(str::parse).transpose().map_err(bad)?,
            asked: UnixMillis(change.asked_ms),
        };
        patch.check()
    }

    pub(super) fn to_change(self) -> ConsentChange {
        ConsentChange {
            consent: self.consent.map(|word| word.as_str().to_owned()),
            sensitive: self.sensitive.map(|word| word.as_str().to_owned()),
            toggle: self.toggle.map(|word| word.as_str().to_owned()),
            asked_ms: self.asked.0,
        }
    }

    /// `na` says that nothing sensitive is known, which is no choice of a person.
    pub(super) fn check(self) -> Result<Self, Refused> {
        if self.sensitive == Some(SensitiveConsent::Na) {
            return Err(Refused::malformed("sensitive is `na`, allowed: unset, yes, no"));
        }
        Ok(self)
    }
}

/// Declared interests, replaced as a whole.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Interests {
    /// Categories.
    pub categories: Vec<String>,
    /// Creators.
    pub creators: Vec<String>,
    /// Languages.
    pub languages: Vec<String>,
}

impl std::fmt::Debug for Interests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interests([redacted])")
    }
}

impl From<InterestsRow> for Interests {
    fn from(row: InterestsRow) -> Self {
        Self { categories: row.categories, creators: row.creators, languages: row.languages }
    }
}

impl Interests {
    /// The row, if it is within the limits.
    pub(super) fn to_row(&self) -> Result<InterestsRow, Refused> {
        within("categories", &self.categories, limits::CATEGORY_BYTES_MAX)?;
        within("creators", &self.creators, limits::TITLE_BYTES_MAX)?;
        within("languages", &self.languages, limits::CATEGORY_BYTES_MAX)?;
        let row = InterestsRow {
            format: FORMAT,
            categories: self.categories.clone(),
            creators: self.creators.clone(),
            languages: self.languages.clone(),
        };
        match row.encoded_len() {
            bytes if bytes > ROW_BYTES_MAX => Err(Refused::malformed(format!(
                "interests have {bytes} bytes, at most {ROW_BYTES_MAX} fit"
            ))),
            _ => Ok(row),
        }
    }
}

fn within(what: &str, list: &[String], bytes_max: usize) -> Result<(), Refused> {
    if list.len() > limits::CATEGORIES_MAX {
        let reason =
            format!("{what} has {} entries, at most {}", list.len(), limits::CATEGORIES_MAX);
        return Err(Refused::malformed(reason));
    }
    match list.iter().position(|text| text.is_empty() || text.len() > bytes_max) {
        Some(at) => {
            Err(Refused::malformed(format!("{what}[{at}] is empty or over {bytes_max} bytes")))
        }
        None => Ok(()),
    }
}
