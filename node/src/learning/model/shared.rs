//! One copy of a model for all nodes of a process, as a trial cluster has them: it never changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::ServedModel;

static SERVED: Mutex<BTreeMap<Vec<u8>, Weak<ServedModel>>> = Mutex::new(BTreeMap::new());

/// The model of that hash: what `take` makes of the one that a node of this process has, or of none. One is made at a
/// time: what it is made of is larger than it is. May block for as long as that takes.
///
/// # Errors
/// Those of `take`.
pub(super) fn shared<E>(
    sha256: &[u8],
    take: impl FnOnce(Option<Arc<ServedModel>>) -> Result<Option<Arc<ServedModel>>, E>,
) -> Result<Option<Arc<ServedModel>>, E> {
    let mut served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = take(served.get(sha256).and_then(Weak::upgrade))?;
    served.retain(|_, model| model.strong_count() > 0);
    served.extend(taken.iter().map(|model| (sha256.to_vec(), Arc::downgrade(model))));
    Ok(taken)
}
