//! Walks a TOML document with its spans and collects every fault instead of stopping at the first.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::PackError;
use super::schema;

pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// A table of the document, and where it stands in the schema.
pub(super) struct Section<'a, 'i> {
    /// Path in the schema: `age_rules`.
    path: String,
    /// Path as people read it: `age_rules[2]`.
    shown: String,
    table: &'a DeTable<'i>,
    at: usize,
}

impl<'a, 'i> Section<'a, 'i> {
    /// Where the table starts, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The path of `key` as people read it.
    pub(super) fn shown(&self, key: &str) -> String {
        join(&self.shown, key)
    }

    /// Names and values of the table.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value<'i>)> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), value))
    }

    fn get(&self, key: &str) -> Option<&'a Value<'i>> {
        self.table.get(key)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The document's text and the faults found so far.
pub(super) struct Reader<'t> {
    text: &'t str,
    errors: Vec<PackError>,
    /// The text is not TOML throughout: what is missing may only have been misread.
    broken: bool,
}

impl<'t> Reader<'t> {
    /// Parses as much of the text as can be.
    pub(super) fn open(text: &'t str) -> (Self, Spanned<DeTable<'t>>) {
        let (table, faults) = DeTable::parse_recoverable(text);
        let mut reader = Self { text, errors: Vec::new(), broken: !faults.is_empty() };
        for fault in faults {
            let at = fault.span().map_or(0, |span| span.start);
            reader.fault(at, "", "", format!("not TOML: {}", fault.message()));
        }
        (reader, table)
    }

    /// The faults, in the order of the text.
    pub(super) fn close(mut self) -> Vec<PackError> {
        self.errors.sort();
        self.errors.dedup();
        self.errors
    }

    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1
    }

    /// Notes a fault at a byte offset.
    pub(super) fn fault(&mut self, at: usize, shown: &str, path: &str, message: String) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.errors.push(PackError {
            line: self.line(at),
            column,
            field: shown.to_owned(),
            meaning: schema::meaning(path),
            message,
        });
    }

    /// Notes a fault of `key` in `section`, at its value if it has one.
    pub(super) fn fault_in(&mut self, section: &Section<'_, '_>, key: &str, message: String) {
        let at = section.get(key).map_or(section.at, |value| value.span().start);
        self.fault(at, &section.shown(key), &join(&section.path, key), message);
    }

    /// Takes a table as a section; names that the schema does not have are faults.
    pub(super) fn section<'a, 'i>(
        &mut self,
        shown: String,
        path: String,
        table: &'a DeTable<'i>,
        span: Range<usize>,
    ) -> Section<'a, 'i> {
        let section = Section { path, shown, table, at: span.start };
        let known = schema::names_in(&section.path);
        for (key, _) in section.table.iter().filter(|_| !known.contains(&"*")) {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let message = format!("no such field; the fields here are {}", known.join(", "));
                self.fault(key.span().start, &section.shown(name), "", message);
            }
        }
        section
    }

    /// The value of `key`, if it is there and can be read.
    pub(super) fn optional<T>(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let value = section.get(key)?;
        match read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(message) => {
                self.fault_in(section, key, message);
                None
            }
        }
    }

    /// The value of `key`, which must be there.
    pub(super) fn required<T>(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        if section.get(key).is_none() && !self.broken {
            self.fault_in(section, key, "is missing".to_owned());
        }
        self.optional(section, key, read)
    }

    /// The elements of the list `key` that can be read; each one that can't is a fault of its own.
    pub(super) fn list<T>(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        mut read: impl FnMut(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = section.get(key)?;
        let DeValue::Array(elements) = value.get_ref() else {
            self.fault_in(section, key, expected("a list", value.get_ref()));
            return None;
        };
        let mut found = Vec::new();
        for element in elements.iter() {
            match read(element.get_ref()) {
                Ok(read) => found.push(read),
                Err(message) => {
                    let path = join(&section.path, key);
                    self.fault(element.span().start, &section.shown(key), &path, message);
                }
            }
        }
        Some(found)
    }

    /// The table `key`.
    pub(super) fn table<'a, 'i>(
        &mut self,
        section: &Section<'a, 'i>,
        key: &str,
    ) -> Option<Section<'a, 'i>> {
        let path = join(&section.path, key);
        self.table_as(section, key, path)
    }

    /// The table `key`, at another place of the schema.
    pub(super) fn table_as<'a, 'i>(
        &mut self,
        section: &Section<'a, 'i>,
        key: &str,
        path: String,
    ) -> Option<Section<'a, 'i>> {
        let value = section.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => {
                Some(self.section(section.shown(key), path, table, value.span()))
            }
            other => {
                self.fault_in(section, key, expected("a table", other));
                None
            }
        }
    }

    /// The tables of the list `[[key]]`.
    pub(super) fn tables<'a, 'i>(
        &mut self,
        section: &Section<'a, 'i>,
        key: &str,
    ) -> Vec<Section<'a, 'i>> {
        let Some(value) = section.get(key) else { return Vec::new() };
        let DeValue::Array(elements) = value.get_ref() else {
            self.fault_in(section, key, expected("a list of tables", value.get_ref()));
            return Vec::new();
        };
        let mut found = Vec::new();
        for (i, element) in elements.iter().enumerate() {
            let shown = format!("{}[{}]", section.shown(key), i + 1);
            let path = join(&section.path, key);
            match element.get_ref() {
                DeValue::Table(table) => {
                    found.push(self.section(shown, path, table, element.span()))
                }
                other => {
                    self.fault(element.span().start, &shown, &path, expected("a table", other))
                }
            }
        }
        found
    }
}

/// The message for a value of another type.
pub(super) fn expected(what: &str, found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(text) => {
            format!("the text `{}`", text.chars().take(40).collect::<String>())
        }
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    format!("expected {what}, found {found}")
}
