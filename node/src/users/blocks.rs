//! What a person blocked. Nothing may push a block out, so blocks live apart from the profile.

use std::collections::BTreeMap;

use bailiwick_core::ids::ItemId;
use bailiwick_core::limits::BLOCKS_MAX;
use bailiwick_proto::store::{Block, BlocksRow};
use prost::Message as _;

use super::draft::Draft;
use super::event::NewEvent;
use super::outcome::{Refused, Stop};
use super::schema::{BLOCK_PARTS, FORMAT, ROW_BYTES_MAX, RowKind};
use crate::seal::{DataKey, PersonKey, TENANT};

/// A person's blocks while a command is applied; read only when the command blocks something.
pub(super) struct Blocks<'k> {
    person: PersonKey,
    key: &'k DataKey,
    parts: Option<BTreeMap<u8, BlocksRow>>,
    changed: Vec<u8>,
}

/// The key of one part.
pub(super) fn part_key(person: &PersonKey, part: u8) -> Vec<u8> {
    RowKind::Blocks.key(TENANT, &[person.as_bytes(), &[part]])
}

impl<'k> Blocks<'k> {
    pub(super) fn new(person: PersonKey, key: &'k DataKey) -> Self {
        Self { person, key, parts: None, changed: Vec::new() }
    }

    /// Adds the item of a block.
    pub(super) fn add(&mut self, draft: &Draft<'_, '_>, event: &NewEvent) -> Result<(), Stop> {
        let part = self.part_of(&event.item);
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => self.parts.insert(load(&self.person, self.key, draft)?),
        };
        let held: usize = parts.values().map(|row| row.blocks.len()).sum();
        let row = parts.entry(part).or_default();
        if let Some(block) = row.blocks.iter_mut().find(|b| b.item == event.item.as_str()) {
            // Blocked since the first of them, in whatever order they came.
            if event.at.0 < block.at_ms {
                block.at_ms = event.at.0;
                self.changed.push(part);
            }
            return Ok(());
        }
        row.format = FORMAT;
        row.blocks.push(Block { item: event.item.as_str().to_owned(), at_ms: event.at.0 });
        if held >= BLOCKS_MAX || row.encoded_len() > ROW_BYTES_MAX {
            return Err(Refused::full(format!("{held} items are blocked, no more fit")).into());
        }
        self.changed.push(part);
        Ok(())
    }

    fn part_of(&self, item: &ItemId) -> u8 {
        let [first, ..] = self.key.mark("block", &[item.as_str().as_bytes()]);
        first % BLOCK_PARTS
    }

    /// Writes the parts that changed.
    pub(super) fn finish(self, draft: &mut Draft<'_, '_>) -> Result<(), Stop> {
        for (part, row) in self.parts.into_iter().flatten() {
            if self.changed.contains(&part) {
                draft.put_sealed(self.key, part_key(&self.person, part), &row)?;
            }
        }
        Ok(())
    }
}

fn load(
    person: &PersonKey,
    key: &DataKey,
    draft: &Draft<'_, '_>,
) -> Result<BTreeMap<u8, BlocksRow>, Stop> {
    let mut parts = BTreeMap::new();
    for part in 0..BLOCK_PARTS {
        if let Some(row) = draft.get_sealed(key, &part_key(person, part))? {
            parts.insert(part, row);
        }
    }
    Ok(parts)
}
