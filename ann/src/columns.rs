//! The columns of a generation's slots, laid out in memory as in a file: mapped, nothing is parsed but where each
//! column begins and where its keywords end.
//!
//! Little-endian: slots, columns; of each column its kind, the bytes of its name, the number of its keywords or
//! numbers, the bytes of its body; names; bodies ([`crate::keywords`], [`crate::numbers`]). No bytes at all where
//! there is no column.

use std::sync::Arc;

use crate::attributes::{Attributes, COLUMN_BYTES_MAX, COLUMNS_MAX, ColumnKind};
use crate::bytes::{Spring, unusable};
use crate::error::AnnError;
use crate::keywords::Keywords;
use crate::memory::Huge;
use crate::numbers::Numbers;
use crate::piece::Piece;
use crate::table::Table;

/// Kinds of columns, as a file has them.
const KEYWORDS: u32 = 0;
const NUMBERS: u32 = 1;
/// Bytes of the numbers of slots and columns, and of what is said of a column.
pub(crate) const HEAD_BYTES: usize = 8;
pub(crate) const ENTRY_BYTES: usize = 24;

/// Named columns over the slots of a generation, or over fresh rows.
#[derive(Debug)]
pub(crate) struct Columns {
    slots: usize,
    bytes: Piece,
    /// By rising names.
    all: Vec<(String, Column)>,
}

/// One of them.
#[derive(Debug)]
pub(crate) enum Column {
    Keywords(Keywords),
    Numbers(Numbers),
}

impl Column {
    pub(crate) fn kind(&self) -> ColumnKind {
        match self {
            Self::Keywords(_) => ColumnKind::Keywords,
            Self::Numbers(_) => ColumnKind::Numbers,
        }
    }

    fn check(&self) -> Result<(), AnnError> {
        match self {
            Self::Keywords(keywords) => keywords.check(),
            Self::Numbers(numbers) => numbers.check(),
        }
    }
}

/// What the head says of a column.
struct Said {
    kind: u32,
    name_bytes: usize,
    count: usize,
    body_bytes: usize,
}

/// The number of a kind of columns in a file.
pub(crate) fn number_of(kind: ColumnKind) -> u32 {
    match kind {
        ColumnKind::Keywords => KEYWORDS,
        ColumnKind::Numbers => NUMBERS,
    }
}

impl Columns {
    /// No column.
    pub(crate) fn none(slots: usize) -> Result<Self, AnnError> {
        Self::of(Huge::of(&[])?.into(), slots)
    }

    /// The columns that these bytes are, over so many slots.
    pub(crate) fn of_bytes(bytes: &[u8], slots: usize) -> Result<Self, AnnError> {
        Self::of(Huge::of(bytes)?.into(), slots)
    }

    /// The columns that a table is, over so many slots.
    ///
    /// # Errors
    /// [`AnnError::File`] where it contradicts itself, as far as that can be told without reading all of it.
    pub(crate) fn of(table: Table<u8>, slots: usize) -> Result<Self, AnnError> {
        let bytes = Piece::whole(table);
        let all = if bytes.is_empty() { Vec::new() } else { parse(&bytes, slots)? };
        Ok(Self { slots, bytes, all })
    }

    /// Slots they are over.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// Whether there is no column.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// As they are written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Column)> {
        self.all.iter().map(|(name, column)| (name.as_str(), column))
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&str, ColumnKind)> {
        self.iter().map(|(name, column)| (name, column.kind()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Column> {
        let at = self.all.binary_search_by(|(found, _)| found.as_str().cmp(name)).ok()?;
        self.all.get(at).map(|(_, column)| column)
    }

    /// Whether all of it is as it should be.
    pub(crate) fn check(&self) -> Result<(), AnnError> {
        self.all.iter().try_for_each(|(_, column)| column.check())
    }

    /// The attributes of each slot.
    pub(crate) fn rows(&self) -> Result<Vec<Attributes>, AnnError> {
        let mut rows = vec![Attributes::new(); self.slots];
        for (name, column) in self.iter() {
            self.each(column, &mut |slot, value| {
                rows.get_mut(slot as usize).into_iter().for_each(|row| value.add(name, row));
            })?;
        }
        Ok(rows)
    }

    /// The attributes of each slot, none where nothing is known of it.
    pub(crate) fn shared_rows(&self) -> Result<Vec<Option<Arc<Attributes>>>, AnnError> {
        if self.is_empty() {
            return Ok(vec![None; self.slots]);
        }
        let some = |row: Attributes| (!row.is_empty()).then(|| Arc::new(row));
        Ok(self.rows()?.into_iter().map(some).collect())
    }

    /// The attributes of one slot. Every keyword is looked at.
    pub(crate) fn row(&self, slot: u32) -> Result<Attributes, AnnError> {
        let mut row = Attributes::new();
        for (name, column) in self.iter() {
            match column {
                Column::Keywords(keywords) => {
                    for at in 0..keywords.len() {
                        if keywords.set(at)?.contains(slot) {
                            Value::Keyword(text_of(keywords, at)?).add(name, &mut row);
                        }
                    }
                }
                Column::Numbers(numbers) => {
                    let number = numbers.get(slot).map(Value::Number);
                    number.into_iter().for_each(|number| number.add(name, &mut row));
                }
            }
        }
        Ok(row)
    }

    /// Calls `visit` with each slot and each of its values in a column.
    pub(crate) fn each<'a>(
        &self,
        column: &'a Column,
        visit: &mut dyn FnMut(u32, Value<'a>),
    ) -> Result<(), AnnError> {
        match column {
            Column::Keywords(keywords) => (0..keywords.len()).try_for_each(|at| {
                let text = text_of(keywords, at)?;
                keywords.read(at)?.iter().for_each(|slot| visit(slot, Value::Keyword(text)));
                Ok(())
            }),
            Column::Numbers(numbers) => {
                let slots = (0u32..).take(self.slots);
                let there = slots.filter_map(|slot| Some((slot, numbers.get(slot)?)));
                there.for_each(|(slot, number)| visit(slot, Value::Number(number)));
                Ok(())
            }
        }
    }
}

/// What a row has in a column.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Keyword(&'a str),
    Number(i64),
}

impl Value<'_> {
    fn add(self, column: &str, row: &mut Attributes) {
        let before = std::mem::take(row);
        *row = match self {
            Self::Keyword(keyword) => before.with_keyword(column, keyword),
            Self::Number(number) => before.with_number(column, number),
        };
    }
}

fn text_of(keywords: &Keywords, at: usize) -> Result<&str, AnnError> {
    std::str::from_utf8(keywords.text(at)).map_err(|_| unusable("a keyword is not text"))
}

fn parse(bytes: &Piece, slots: usize) -> Result<Vec<(String, Column)>, AnnError> {
    let unfit = || unusable("its columns contradict each other");
    let (head, rest) = bytes.split(HEAD_BYTES).ok_or_else(unfit)?;
    let mut head = Spring::part(&*head, HEAD_BYTES as u64);
    let (of_slots, count) = (head.u32()? as usize, head.u32()? as usize);
    if of_slots != slots || count > COLUMNS_MAX {
        return Err(unfit());
    }
    let (entries, mut rest) = rest.split(count * ENTRY_BYTES).ok_or_else(unfit)?;
    let mut entries = Spring::part(&*entries, entries.len() as u64);
    let said: Vec<Said> = (0..count).map(|_| entries.said()).collect::<Result<_, _>>()?;
    let mut names = Vec::with_capacity(count);
    for said in &said {
        let (name, after) = rest.split(said.name_bytes).ok_or_else(unfit)?;
        names.push(String::from_utf8(name.to_vec()).map_err(|_| unfit())?);
        rest = after;
    }
    let rising = names.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    let mut all = Vec::with_capacity(count);
    for (name, said) in names.into_iter().zip(&said) {
        let (body, after) = rest.split(said.body_bytes).ok_or_else(unfit)?;
        all.push((name, said.column(&body, slots).ok_or_else(unfit)?));
        rest = after;
    }
    (rising && rest.is_empty()).then_some(all).ok_or_else(unfit)
}

impl Said {
    fn column(&self, body: &Piece, slots: usize) -> Option<Column> {
        if !(1..=COLUMN_BYTES_MAX).contains(&self.name_bytes) {
            return None;
        }
        match self.kind {
            KEYWORDS => Keywords::of(body, self.count, slots).map(Column::Keywords),
            NUMBERS => Numbers::of(body, self.count, slots).map(Column::Numbers),
            _ => None,
        }
    }
}

impl Spring<&[u8]> {
    fn said(&mut self) -> Result<Said, AnnError> {
        let (kind, name_bytes) = (self.u32()?, self.u32()? as usize);
        let [count, body_bytes] =
            [self.u64()?, self.u64()?].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        Ok(Said { kind, name_bytes, count, body_bytes })
    }
}
