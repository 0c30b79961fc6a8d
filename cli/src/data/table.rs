//! Rows of a table with a header, one at a time.

use std::str::FromStr;

use super::DataError;
use super::source::Source;

/// How the columns are set apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// By tabs; a quote is a character like any other.
    Tabs,
    /// By commas, with quotes where a value holds one.
    Commas,
}

/// A table that is read row by row.
pub(super) struct Table {
    file: String,
    reader: csv::Reader<Source>,
    record: csv::StringRecord,
    header: csv::StringRecord,
}

/// A column's place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    at: usize,
}

/// One row, good until the next.
pub(super) struct Row<'a> {
    file: &'a str,
    line: u64,
    record: &'a csv::StringRecord,
}

impl Table {
    pub(super) fn open(source: Source, form: Form) -> Result<Self, DataError> {
        let file = source.name.clone();
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if form == Form::Tabs { b'\t' } else { b',' })
            .quoting(form == Form::Commas)
            .from_reader(source);
        let header = reader.headers().map_err(|error| unreadable(&file, &error))?.clone();
        Ok(Self { file, reader, record: csv::StringRecord::new(), header })
    }

    pub(super) fn column(&self, name: &'static str) -> Result<Column, DataError> {
        self.optional(name).ok_or_else(|| DataError::Column {
            file: self.file.clone(),
            column: name,
            found: self.header.iter().collect::<Vec<_>>().join(", ").chars().take(120).collect(),
        })
    }

    pub(super) fn optional(&self, name: &'static str) -> Option<Column> {
        // A byte order mark is no part of the first name.
        let same = |found: &str| found.trim_start_matches('\u{feff}').trim() == name;
        self.header.iter().position(same).map(|at| Column { name, at })
    }

    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, DataError> {
        match self.reader.read_record(&mut self.record) {
            Ok(false) => Ok(None),
            Err(error) => Err(unreadable(&self.file, &error)),
            Ok(true) => {
                let line = self.record.position().map_or(0, csv::Position::line);
                Ok(Some(Row { file: &self.file, line, record: &self.record }))
            }
        }
    }
}

impl Row<'_> {
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The text of a column, without the blanks around it.
    pub(super) fn text(&self, column: Column) -> &str {
        self.record.get(column.at).unwrap_or_default().trim()
    }

    /// The text, none where it is empty.
    pub(super) fn some(&self, column: Column) -> Option<&str> {
        Some(self.text(column)).filter(|text| !text.is_empty())
    }

    /// The value of a column, which must be there and well-formed.
    pub(super) fn value<T: FromStr>(&self, column: Column, mend: &str) -> Result<T, DataError> {
        self.text(column).parse().map_err(|_| self.refuse(column, mend))
    }

    pub(super) fn refuse(&self, column: Column, mend: impl Into<String>) -> DataError {
        DataError::Value {
            file: self.file.to_owned(),
            line: self.line,
            column: column.name,
            value: self.text(column).chars().take(60).collect(),
            mend: mend.into(),
        }
    }
}

fn unreadable(file: &str, error: &csv::Error) -> DataError {
    let mend = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "convert the file to UTF-8",
        csv::ErrorKind::UnequalLengths { .. } => "give every line as many columns as the header",
        _ => "the file seems damaged: fetch or write it again",
    };
    let line = error.position().map_or(1, csv::Position::line);
    DataError::Read { file: file.to_owned(), line, problem: error.to_string(), mend }
}
