//! Any file of events: user, item, and where there are any value, time and title.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::BufRead as _;
use std::path::Path;

use bailiwick_core::ids::{ItemId, Subject};
use bailiwick_proto::v1;
use serde::Deserialize;

use super::people::Rule;
use super::source::Source;
use super::table::{Form, Table};
use super::{DataError, Dataset};

/// Rows of one file.
const ROWS_MAX: usize = 10_000_000;
/// Bytes of one line of NDJSON.
const LINE_BYTES_MAX: u64 = 64 << 10;
const EDITORIAL_LENGTH: usize = 60;
const DAMAGED: &str = "the file seems damaged: fetch or write it again";

/// One row, whatever the form it was written in.
struct Record {
    user: String,
    item: String,
    value: Option<f64>,
    time: Option<String>,
    title: Option<String>,
}

/// Loads a table by tabs or commas (told by the header line) or NDJSON (told by its first `{`).
pub(super) fn load(path: &Path) -> Result<Dataset, DataError> {
    let mut source = Source::file(path)?;
    let file = source.name.clone();
    let start = source.bytes.fill_buf().map_err(|error| DataError::Read {
        file: file.clone(),
        line: 1,
        problem: error.to_string(),
        mend: DAMAGED,
    })?;
    let first_line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut loading = Loading::new(file)?;
    if first_line.trim_ascii_start().starts_with(b"{") {
        read_json(source, &mut loading)?;
    } else if first_line.contains(&b'\t') {
        read_table(source, Form::Tabs, &mut loading)?;
    } else {
        read_table(source, Form::Commas, &mut loading)?;
    }
    loading.finish()
}

fn read_table(source: Source, form: Form, loading: &mut Loading) -> Result<(), DataError> {
    let mut table = Table::open(source, form)?;
    let (user, item) = (table.column("user")?, table.column("item")?);
    let (value, time) = (table.optional("value"), table.optional("time"));
    let title = table.optional("title");
    while let Some(row) = table.next()? {
        let text = |column: Option<_>| column.and_then(|c| row.some(c)).map(str::to_owned);
        let value = match value.filter(|&column| row.some(column).is_some()) {
            Some(column) => Some(row.value(column, "write a number, or nothing")?),
            None => None,
        };
        let record = Record {
            user: row.text(user).to_owned(),
            item: row.text(item).to_owned(),
            value,
            time: text(time),
            title: text(title),
        };
        loading.add(row.line(), record)?;
    }
    Ok(())
}

/// Numbers are taken for names too: many files number their users and items.
#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Number(u64),
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        match name {
            Name::Text(text) => text,
            Name::Number(number) => number.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    user: Name,
    item: Name,
    value: Option<f64>,
    time: Option<Name>,
    title: Option<String>,
}

fn read_json(mut source: Source, loading: &mut Loading) -> Result<(), DataError> {
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let mut bounded = std::io::Read::take(&mut source.bytes, LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut text);
        let bad = |problem: String, mend| DataError::Read {
            file: loading.file.clone(),
            line,
            problem,
            mend,
        };
        match read {
            Err(error) => return Err(bad(error.to_string(), DAMAGED)),
            Ok(0) => break,
            Ok(_) if text.len() as u64 == LINE_BYTES_MAX => {
                return Err(bad("longer than 64 KiB".into(), "write one event a line"));
            }
            Ok(_) if text.trim_ascii().is_empty() => continue,
            Ok(_) => {}
        }
        let mend =
            r#"write {"user": "u", "item": "i", "value": 4.5, "time": "2026-11-22T10:00:00Z"}"#;
        let Line { user, item, value, time, title } =
            serde_json::from_slice(&text).map_err(|error| bad(error.to_string(), mend))?;
        let (user, item, time) = (user.into(), item.into(), time.map(Into::into));
        loading.add(line, Record { user, item, value, time, title })?;
    }
    Ok(())
}

/// A data set that is growing row by row.
struct Loading {
    file: String,
    rule: Rule,
    dataset: Dataset,
    people: BTreeMap<String, usize>,
    items: BTreeMap<String, usize>,
}

impl Loading {
    fn new(file: String) -> Result<Self, DataError> {
        let dataset = Dataset {
            name: "events of a file",
            credit: "",
            made_up: vec![
                "Homes, ages, consents and switches of the people are made up: the file has none.",
                "The editorial list is made up: the items that most people took stand in for an editor's.",
            ],
            ..Dataset::default()
        };
        let (people, items) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { file, rule: Rule::read()?, dataset, people, items })
    }

    fn add(&mut self, line: u64, record: Record) -> Result<(), DataError> {
        if self.dataset.events.len() >= ROWS_MAX {
            return Err(DataError::TooLong { file: self.file.clone(), max: ROWS_MAX });
        }
        let event = self.event(line, &record)?;
        let person = self.person(line, record.user)?;
        self.item(line, record.item, record.title)?;
        self.dataset.events.push((person, event));
        Ok(())
    }

    fn event(&self, line: u64, record: &Record) -> Result<v1::Event, DataError> {
        if let Some(value) = record.value.filter(|value| !value.is_finite()) {
            return Err(self.refuse(line, "value", &value.to_string(), "write a finite number"));
        }
        let at = match &record.time {
            Some(text) => Some(moment(text).ok_or_else(|| {
                self.refuse(line, "time", text, "write RFC 3339 or seconds since 1970")
            })?),
            None => None,
        };
        Ok(v1::Event {
            // The line, since one person may do the same thing to the same item twice.
            id: format!("line-{line}"),
            item: record.item.clone(),
            kind: if record.value.is_some() { "rate" } else { "view" }.to_owned(),
            value: record.value,
            at,
            ..v1::Event::default()
        })
    }

    fn person(&mut self, line: u64, user: String) -> Result<usize, DataError> {
        if let Some(&person) = self.people.get(&user) {
            return Ok(person);
        }
        let subject = Subject::new(user.clone())
            .map_err(|error| self.refuse(line, "user", &user, error.to_string()))?;
        self.dataset.people.push(self.rule.person(&user, subject, None)?);
        let person = self.dataset.people.len() - 1;
        self.people.insert(user, person);
        Ok(person)
    }

    fn item(&mut self, line: u64, id: String, title: Option<String>) -> Result<(), DataError> {
        match self.items.entry(id) {
            Entry::Occupied(known) => {
                let item = self.dataset.items.get_mut(*known.get());
                if let (Some(item), Some(title)) = (item, title) {
                    item.title = title;
                }
                Ok(())
            }
            Entry::Vacant(new) => {
                if let Err(error) = ItemId::new(new.key().as_str()) {
                    let id = new.into_key();
                    return Err(self.refuse(line, "item", &id, error.to_string()));
                }
                let title = title.unwrap_or_else(|| new.key().clone());
                let item = v1::Item { item: new.key().clone(), title, ..v1::Item::default() };
                self.dataset.items.push(item);
                new.insert(self.dataset.items.len() - 1);
                Ok(())
            }
        }
    }

    fn refuse(
        &self,
        line: u64,
        column: &'static str,
        value: &str,
        mend: impl Into<String>,
    ) -> DataError {
        let value = value.chars().take(60).collect();
        DataError::Value { file: self.file.clone(), line, column, value, mend: mend.into() }
    }

    fn finish(mut self) -> Result<Dataset, DataError> {
        if self.dataset.events.is_empty() {
            return Err(DataError::Empty { file: self.file });
        }
        self.dataset.stand_in_editorial(EDITORIAL_LENGTH);
        Ok(self.dataset)
    }
}

/// RFC 3339 from RFC 3339 or from seconds since 1970.
fn moment(text: &str) -> Option<String> {
    let moment: jiff::Timestamp = match text.parse::<i64>() {
        Ok(seconds) => jiff::Timestamp::from_second(seconds).ok()?,
        Err(_) => text.parse().ok()?,
    };
    Some(moment.to_string())
}
