//! The canonical content of a pack file, and its hash: comments, layout and the order of names don't
//! count, every value does.

use std::fmt::{self, Write as _};

use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

/// The SHA-256 of a pack's canonical content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackHash([u8; 32]);

impl PackHash {
    /// The hash of canonical content.
    #[must_use]
    pub fn of(canonical: &str) -> Self {
        Self(Sha256::digest(canonical.as_bytes()).into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PackHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PackHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The canonical text of a document: tables as `{"name":value,...}` sorted by name, lists in their order,
/// texts quoted, whole numbers in decimal, dates as written in TOML.
pub(super) fn canonical(table: &DeTable<'_>) -> String {
    let mut out = String::new();
    write_table(&mut out, table);
    out
}

fn write_table(out: &mut String, table: &DeTable<'_>) {
    let mut entries: Vec<(&str, &DeValue<'_>)> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())).collect();
    entries.sort_by_key(|(key, _)| *key);
    out.push('{');
    for (i, (key, value)) in entries.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let _ = write!(out, "{key:?}:");
        write_value(out, value);
    }
    out.push('}');
}

fn write_value(out: &mut String, value: &DeValue<'_>) {
    // Writing to a String can't fail.
    let _ = match value {
        DeValue::String(text) => write!(out, "{text:?}"),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => write!(out, "{number}"),
            Err(_) => write!(out, "{number}"),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) => write!(out, "{number:?}"),
            Err(_) => write!(out, "{number}"),
        },
        DeValue::Boolean(value) => write!(out, "{value}"),
        DeValue::Datetime(date) => write!(out, "{date}"),
        DeValue::Array(list) => {
            out.push('[');
            for (i, element) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(out, element.get_ref());
            }
            out.push(']');
            Ok(())
        }
        DeValue::Table(table) => {
            write_table(out, table);
            Ok(())
        }
    };
}
