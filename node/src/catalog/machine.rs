//! The replicated catalogue: puts and deletes of items.

use std::sync::Arc;

use bailiwick_ann::{Metric, Space};
use bailiwick_core::limits;
use bailiwick_proto::store::catalog_command::Change as Command;
use bailiwick_proto::store::{CatalogCommand, CatalogOutcome, ItemRefusal, ItemRow, SpaceRow};
use prost::Message as _;

use super::naming;
use super::rows::{FORMAT, SPACE_KEY, facts_of, item_key, row_of_space};
use super::shelf::Catalogue;
use crate::raft::machine::{AppliedAt, Change, Machine, View};

/// The model that vectors belong to while a cluster has one.
const MODEL: &str = "default";

/// The state machine of a `catalog-<n>` group.
pub struct CatalogMachine {
    catalogue: Arc<Catalogue>,
}

impl CatalogMachine {
    /// A machine that keeps `catalogue` up to date.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue }
    }
}

fn refused(reason: &str) -> CatalogOutcome {
    CatalogOutcome { refused: reason.to_owned(), ..CatalogOutcome::default() }
}

/// The space, once it is fixed.
pub(super) fn space(view: &View<'_>) -> Option<SpaceRow> {
    SpaceRow::decode(view.get(SPACE_KEY)?.as_ref()).ok()
}

/// The dimensions of the space, which the first vector fixes.
fn dimensions(view: &View<'_>) -> Option<u32> {
    space(view).map(|space| space.dimensions)
}

fn check(item: &ItemRow, dimensions: Option<u32>) -> Result<(), String> {
    if item.format > FORMAT {
        return Err(format!("format {} is newer than {FORMAT}", item.format));
    }
    facts_of(item).ok_or("the item is not well-formed")?;
    if item.vector.iter().any(|x| !x.is_finite()) {
        return Err("the vector holds a value that is not finite".into());
    }
    let found = u32::try_from(item.vector.len()).unwrap_or(u32::MAX);
    match dimensions {
        Some(wanted) if found != 0 && found != wanted => {
            Err(format!("the vector has {found} dimensions, the catalogue's have {wanted}"))
        }
        _ if item.encoded_len() > limits::VALUE_BYTES_MAX => Err(format!(
            "the item has {} bytes, at most {} fit",
            item.encoded_len(),
            limits::VALUE_BYTES_MAX
        )),
        _ => Ok(()),
    }
}

fn put_items(items: Vec<ItemRow>, view: &mut View<'_>) -> CatalogOutcome {
    let mut outcome = CatalogOutcome::default();
    let mut known = dimensions(view);
    for (position, item) in (0..).zip(items) {
        let put = check(&item, known).and_then(|()| {
            if known.is_none() && !item.vector.is_empty() {
                known = u32::try_from(item.vector.len()).ok();
                put_space(known.unwrap_or_default(), view)?;
            }
            let row = item.encode_to_vec();
            view.put(&item_key(&item.item), row).map_err(|refusal| refusal.to_string())
        });
        match put {
            Ok(()) => outcome.changed += 1,
            Err(error) => outcome.refusals.push(ItemRefusal { position, error }),
        }
    }
    outcome
}

fn put_space(dimensions: u32, view: &mut View<'_>) -> Result<(), String> {
    let dimensions = usize::try_from(dimensions).unwrap_or(usize::MAX);
    let space = Space { model: MODEL.into(), dimensions, metric: Metric::Cosine };
    let space = row_of_space(&space);
    view.put(SPACE_KEY, space.encode_to_vec()).map_err(|refusal| refusal.to_string())
}

fn delete_item(item: &str, view: &mut View<'_>) -> CatalogOutcome {
    let key = item_key(item);
    let there = view.get(&key).is_some();
    if there {
        view.delete(&key);
    }
    CatalogOutcome { changed: u32::from(there), ..CatalogOutcome::default() }
}

impl Machine for CatalogMachine {
    fn apply(&self, at: AppliedAt, command: &[u8], view: &mut View<'_>) -> Vec<u8> {
        let outcome = match CatalogCommand::decode(command) {
            Err(_) => refused("the command could not be read"),
            Ok(command) if command.format > FORMAT => refused("the command is of a newer version"),
            Ok(CatalogCommand { change: Some(Command::PutItems(put)), .. }) => {
                put_items(put.items, view)
            }
            Ok(CatalogCommand { change: Some(Command::DeleteItem(delete)), .. }) => {
                delete_item(&delete.item, view)
            }
            Ok(CatalogCommand { change: Some(Command::NameGeneration(naming)), .. }) => {
                match naming::apply(naming, at.index, view) {
                    Ok(()) => CatalogOutcome { changed: 1, ..CatalogOutcome::default() },
                    Err(why) => refused(&why),
                }
            }
            Ok(CatalogCommand { change: None, .. }) => refused("the command is empty"),
        };
        outcome.encode_to_vec()
    }

    fn refreshed(&self, change: Change<'_>, applied: u64) {
        match change {
            Change::Batch(rows) => self.catalogue.update(rows, applied),
            Change::Everything(reader) => self.catalogue.reload(reader, applied),
        }
    }
}
