//! Facts that a data set does not know, dealt out by the fixed rule of `deploy/demo/people.toml`.

use std::fmt::Display;
use std::str::FromStr;

use bailiwick_core::ids::{Jurisdiction, Subject};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{AgeBand, Consent, DataError, DemoPerson, Fact, Toggle};

const FILE: &str = "deploy/demo/people.toml";
const TEXT: &str = include_str!("../../../deploy/demo/people.toml");

/// The rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    schema: u32,
    tables: Tables,
    example: Vec<Example>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    home: Vec<Share>,
    age_band: Vec<Share>,
    adult_consent: Vec<Share>,
    minor_consent: Vec<Share>,
    toggle: Vec<Share>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    value: String,
    share: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    user: u64,
    why: String,
    home: Jurisdiction,
    age_band: AgeBand,
    consent: Consent,
    toggle: Toggle,
}

impl Rule {
    pub(super) fn read() -> Result<Self, DataError> {
        let rule: Self = toml::from_str(TEXT).map_err(broken)?;
        if rule.schema != 1 {
            return Err(broken(format!("schema {} is not known", rule.schema)));
        }
        let Tables { home, age_band, adult_consent, minor_consent, toggle } = &rule.tables;
        for table in [home, age_band, adult_consent, minor_consent, toggle] {
            let total: u64 = table.iter().map(|row| row.share).sum();
            if total != 100 {
                return Err(broken(format!("the shares of a table add up to {total}, not 100")));
            }
        }
        Ok(rule)
    }

    /// A person of whom nothing is known. Examples are looked up by `example`, a MovieLens user.
    pub(super) fn person(
        &self,
        key: &str,
        subject: Subject,
        example: Option<u64>,
    ) -> Result<DemoPerson, DataError> {
        let made_up: &[Fact] = &[Fact::Home, Fact::Age, Fact::Consent, Fact::Toggle];
        let named = example.and_then(|user| self.example.iter().find(|e| e.user == user));
        if let Some(Example { why, home, age_band, consent, toggle, .. }) = named {
            let (home, example) = (home.clone(), Some(why.clone()));
            let (age_band, consent, toggle) = (*age_band, *consent, *toggle);
            return Ok(DemoPerson { subject, home, age_band, consent, toggle, made_up, example });
        }
        let home = draw("home", &self.tables.home, key)?;
        let age_band = draw("age_band", &self.tables.age_band, key)?;
        let (consent, toggle) = self.choices(key, age_band)?;
        Ok(DemoPerson { subject, home, age_band, consent, toggle, made_up, example: None })
    }

    /// Consent and switch, which no data set knows.
    pub(super) fn choices(
        &self,
        key: &str,
        age_band: AgeBand,
    ) -> Result<(Consent, Toggle), DataError> {
        let consents = match age_band {
            AgeBand::Adult => &self.tables.adult_consent,
            _ => &self.tables.minor_consent,
        };
        Ok((draw("consent", consents, key)?, draw("toggle", &self.tables.toggle, key)?))
    }
}

fn draw<T>(table: &str, rows: &[Share], key: &str) -> Result<T, DataError>
where
    T: FromStr<Err: Display>,
{
    let mut left = percent(table, key);
    for row in rows {
        if left < row.share {
            return row.value.parse().map_err(broken);
        }
        left -= row.share;
    }
    Err(broken(format!("table {table} does not reach 100")))
}

fn percent(table: &str, key: &str) -> u64 {
    let hash: [u8; 32] = Sha256::digest(format!("{table}:{key}")).into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) % 100
}

fn broken(problem: impl Display) -> DataError {
    DataError::Rule { file: FILE, problem: problem.to_string() }
}
