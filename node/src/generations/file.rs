//! A generation to and from its file. Rows are numbers of one node; in the file they are items.

use std::path::Path;

use bailiwick_ann::{LiveIndex, Merged, Options};
use bailiwick_core::ids::{ItemId, NodeName};
use bailiwick_core::ranking::{Row, Shelf as _};
use bailiwick_proto::store::{GenerationItems, GenerationManifest};
use prost::Message as _;

use super::GenerationError;
use crate::catalog::{Catalogue, FORMAT, ShelfView, row_of_space};
use crate::files::{Content, Folder};

/// Rows that are looked up at a time: whoever writes to the catalogue waits no longer than for these.
const AT_ONCE: usize = 4096;

/// Looks up all of `asked` in the catalogue to which the index belongs, a few at a time.
fn look_up<T, U>(
    catalogue: &Catalogue,
    index: &LiveIndex,
    asked: &[T],
    find: impl Fn(&ShelfView<'_>, &T) -> U,
) -> Result<Vec<U>, GenerationError> {
    let mut found = Vec::with_capacity(asked.len());
    for some in asked.chunks(AT_ONCE) {
        let view = catalogue.view();
        if !view.index().is_some_and(|own| std::ptr::eq(own, index)) {
            return Err(GenerationError::Reloaded);
        }
        found.extend(some.iter().map(|asked| find(&view, asked)));
    }
    Ok(found)
}

/// The ids of a file's rows, empty where the item is gone.
fn ids(catalogue: &Catalogue, index: &LiveIndex, rows: &[Row]) -> Vec<String> {
    let id = |view: &ShelfView<'_>, row: &Row| {
        view.facts(*row).map_or_else(String::new, |facts| facts.id.to_string())
    };
    look_up(catalogue, index, rows, id).unwrap_or_default()
}

/// The rows that a file's ids have here.
fn rows(
    catalogue: &Catalogue,
    index: &LiveIndex,
    ids: &[String],
) -> Result<Vec<Option<Row>>, GenerationError> {
    look_up(catalogue, index, ids, |view, id| view.row(&ItemId::new(id.as_str()).ok()?))
}

/// Writes the index of a catalogue to a file of the folder, and says what `node` has there. Blocks on the
/// disk.
pub(super) fn write(
    catalogue: &Catalogue,
    index: &LiveIndex,
    merged: &Merged,
    folder: &Folder,
    node: &NodeName,
) -> Result<GenerationManifest, GenerationError> {
    // Read before the index: what is written in between is in the file as well, which does no harm.
    let log_index = catalogue.applied();
    let part = folder.part();
    index.save_with(&part, log_index, |rows| {
        GenerationItems { items: ids(catalogue, index, rows) }.encode_to_vec()
    })?;
    let Content { sha256, length } = folder.adopt(&part)?;
    Ok(GenerationManifest {
        format: FORMAT,
        sha256: sha256.to_vec(),
        length,
        space: Some(row_of_space(index.space())),
        rows: u64::try_from(merged.rows).unwrap_or(u64::MAX),
        log_index,
        node: node.to_string(),
    })
}

/// Has the index of a catalogue take over the generation of a file whose hash was checked, and which stays as it is:
/// it is searched where the system keeps it. Blocks on the disk, and computes.
pub(super) fn take(
    catalogue: &Catalogue,
    index: &LiveIndex,
    manifest: &GenerationManifest,
    path: &Path,
) -> Result<Merged, GenerationError> {
    let opened = LiveIndex::map(path, index.space(), Options::default(), None)?;
    if opened.saved.stamp != manifest.log_index {
        return Err(GenerationError::Other("it goes up to another log index"));
    }
    let items = GenerationItems::decode(opened.note.as_slice());
    let items = items.map_err(|_| GenerationError::Other("its items can't be read"))?.items;
    let rows = rows(catalogue, index, &items)?;
    Ok(index.adopt(opened.index, &rows)?)
}
