//! Gathering values row by row, or column by column, into columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::attributes::{Attributes, ColumnKind, Kinds};
use crate::columns::{Columns, ENTRY_BYTES, HEAD_BYTES, Value, number_of};
use crate::error::AnnError;
use crate::live::State;
use crate::slots::Slots;
use crate::{keywords, numbers};

/// Columns under way.
pub(crate) struct Gathered {
    slots: usize,
    columns: BTreeMap<String, Gathering>,
}

/// One of them.
enum Gathering {
    Keywords(BTreeMap<String, Vec<u32>>),
    Numbers(Vec<(i64, u32)>),
}

impl Gathering {
    fn new(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Keywords => Self::Keywords(BTreeMap::new()),
            ColumnKind::Numbers => Self::Numbers(Vec::new()),
        }
    }

    /// Notes what a slot has. What is of the other kind was refused when it was written.
    fn note(&mut self, slot: u32, value: Value<'_>) {
        match (self, value) {
            (Self::Keywords(keywords), Value::Keyword(keyword)) => {
                if let Some(slots) = keywords.get_mut(keyword) {
                    slots.push(slot);
                } else {
                    keywords.insert(keyword.to_owned(), vec![slot]);
                }
            }
            (Self::Numbers(numbers), Value::Number(number)) => numbers.push((number, slot)),
            (Self::Keywords(_), Value::Number(_)) | (Self::Numbers(_), Value::Keyword(_)) => {}
        }
    }

    fn kind(&self) -> ColumnKind {
        match self {
            Self::Keywords(_) => ColumnKind::Keywords,
            Self::Numbers(_) => ColumnKind::Numbers,
        }
    }

    /// How many keywords or numbers it has, and its bytes.
    fn encode(&mut self, slots: usize) -> std::io::Result<(usize, Vec<u8>)> {
        match self {
            Self::Keywords(all) => {
                for slots in all.values_mut() {
                    slots.sort_unstable();
                    slots.dedup();
                }
                let each = all.iter().map(|(keyword, slots)| (keyword.as_str(), slots.as_slice()));
                Ok((all.len(), keywords::encode(each)?))
            }
            Self::Numbers(all) => {
                all.sort_unstable();
                Ok((all.len(), numbers::encode(slots, all)))
            }
        }
    }
}

impl Gathered {
    /// Empty columns of these kinds over so many slots.
    pub(crate) fn new(slots: usize, kinds: &Kinds) -> Self {
        let columns = kinds.iter().map(|(name, kind)| (name.to_owned(), Gathering::new(kind)));
        Self { slots, columns: columns.collect() }
    }

    /// Notes what a slot has.
    pub(crate) fn add(&mut self, slot: u32, attributes: &Attributes) {
        for (column, keyword) in attributes.all_keywords() {
            self.note(column, slot, Value::Keyword(keyword));
        }
        for (column, number) in attributes.all_numbers() {
            self.note(column, slot, Value::Number(number));
        }
    }

    fn note(&mut self, column: &str, slot: u32, value: Value<'_>) {
        self.columns.get_mut(column).into_iter().for_each(|column| column.note(slot, value));
    }

    /// Notes what slots have that are numbered otherwise there.
    fn add_all(
        &mut self,
        columns: &Columns,
        moved: impl Fn(u32) -> Option<u32>,
    ) -> Result<(), AnnError> {
        for (name, column) in columns.iter() {
            let Some(mine) = self.columns.get_mut(name) else { continue };
            columns.each(column, &mut |slot, value| {
                moved(slot).into_iter().for_each(|slot| mine.note(slot, value));
            })?;
        }
        Ok(())
    }

    /// Their bytes, as a file has them.
    pub(crate) fn encode(mut self) -> std::io::Result<Vec<u8>> {
        if self.columns.is_empty() {
            return Ok(Vec::new());
        }
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let count = self.columns.len();
        let mut head = Vec::with_capacity(HEAD_BYTES + count * ENTRY_BYTES);
        head.extend([number(self.slots), number(count)].concat());
        let (mut names, mut bodies) = (Vec::new(), Vec::new());
        for (name, column) in &mut self.columns {
            let (entries, body) = column.encode(self.slots)?;
            head.extend([number_of(column.kind()).to_le_bytes(), number(name.len())].concat());
            head.extend([entries as u64, body.len() as u64].map(u64::to_le_bytes).concat());
            names.extend_from_slice(name.as_bytes());
            bodies.extend(body);
        }
        Ok([head, names, bodies].concat())
    }

    fn finish(self) -> Result<Columns, AnnError> {
        let slots = self.slots;
        let io = |source| AnnError::Io { path: "memory".to_owned(), source };
        Columns::of_bytes(&self.encode().map_err(io)?, slots)
    }
}

impl State {
    /// The attributes of what lives here, for a generation that has these slots.
    pub(crate) fn columns_of(&self, slots: &Slots) -> Result<Columns, AnnError> {
        if self.kinds.is_empty() {
            return Columns::none(slots.len());
        }
        let mut gathered = Gathered::new(slots.len(), &self.kinds);
        let frozen = &self.generation.frozen;
        let moved: Vec<Option<u32>> = (0u32..)
            .zip(frozen.slots.rows())
            .map(|(slot, &row)| slots.slot(row).filter(|_| self.generation.spares(slot, self.now)))
            .collect();
        gathered.add_all(&frozen.columns, |slot| moved.get(slot as usize).copied().flatten())?;
        for entry in self.segment.live(0, self.now) {
            if let (Some(slot), Some(attributes)) = (slots.slot(entry.row), entry.attributes) {
                gathered.add(slot, attributes);
            }
        }
        gathered.finish()
    }

    /// The attributes of what lives here: in the generation, by its slots, then fresh.
    pub(crate) fn attributes(&self) -> Result<Vec<Option<Arc<Attributes>>>, AnnError> {
        let frozen = self.generation.frozen.columns.shared_rows()?;
        let alive =
            (0u32..).zip(frozen).filter(|(slot, _)| self.generation.spares(*slot, self.now));
        let fresh = self.segment.live(0, self.now).map(|entry| entry.attributes.cloned());
        Ok(alive.map(|(_, attributes)| attributes).chain(fresh).collect())
    }
}
