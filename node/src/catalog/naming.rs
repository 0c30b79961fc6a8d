//! Which generation of the index nodes may fetch: the latest that the group's leader has built and named.

use bailiwick_core::ids::NodeName;
use bailiwick_proto::store::{CatalogNaming, GenerationManifest, NameGeneration};
use prost::Message as _;

use super::machine::space;
use super::rows::{FORMAT, GENERATION_KEY};
use crate::raft::machine::View;

const HASH_BYTES: usize = 32;
/// Bytes of the largest file that nodes are asked to fetch.
const FILE_BYTES_MAX: u64 = 64 << 30;

/// Whether a peer may have this node, which leads, propose the command. What a generation holds can't be
/// told from its name, so a leader names only what it has built itself.
///
/// # Errors
/// Why not, in words.
pub fn may_propose(from: &NodeName, command: &[u8]) -> Result<(), String> {
    match CatalogNaming::decode(command) {
        Ok(CatalogNaming { name_generation: Some(_) }) => Err(format!(
            "{from} does not lead the catalogue and may not name a generation of its index"
        )),
        // What can't be read is refused where it is applied.
        _ => Ok(()),
    }
}

/// Names a generation, if it is newer than the one that is named and of the catalogue's own space.
pub(super) fn apply(naming: NameGeneration, at: u64, view: &mut View<'_>) -> Result<(), String> {
    let found = naming.generation.ok_or("there is no generation")?;
    check(&found, at)?;
    let own = space(view).ok_or("the catalogue has no vectors yet")?;
    let of = found.space.as_ref().ok_or("the generation has no space")?;
    if (&of.model, of.dimensions, &of.metric) != (&own.model, own.dimensions, &own.metric) {
        return Err(format!(
            "the generation is of model `{}` with {} dimensions, the catalogue of `{}` with {}",
            of.model, of.dimensions, own.model, own.dimensions
        ));
    }
    let known = view.get(GENERATION_KEY);
    let known = known.and_then(|row| GenerationManifest::decode(row.as_ref()).ok());
    match known.filter(|known| known.log_index >= found.log_index) {
        Some(known) => Err(format!(
            "a generation up to log index {} is named, this one goes up to {}",
            known.log_index, found.log_index
        )),
        None => {
            view.put(GENERATION_KEY, found.encode_to_vec()).map_err(|refusal| refusal.to_string())
        }
    }
}

fn check(found: &GenerationManifest, at: u64) -> Result<(), String> {
    if found.format > FORMAT {
        return Err(format!("format {} is newer than {FORMAT}", found.format));
    }
    if found.sha256.len() != HASH_BYTES {
        return Err(format!("sha256 has {} bytes, it must have {HASH_BYTES}", found.sha256.len()));
    }
    if found.length == 0 || found.length > FILE_BYTES_MAX {
        return Err(format!("length is {}, it must be 1 to {FILE_BYTES_MAX}", found.length));
    }
    if found.rows == 0 {
        return Err("rows is 0: there is nothing to fetch".into());
    }
    if found.log_index >= at {
        return Err(format!("log_index is {}, this command stands at {at}", found.log_index));
    }
    NodeName::new(found.node.as_str()).map(drop).map_err(|error| format!("node: {error}"))
}
