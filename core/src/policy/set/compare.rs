//! Two versions of a pack, each with its parents, field by field.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use super::compile::PackSet;
use super::error::{Fault, SetErrors};
use super::flat::Flat;
use super::lay::{self, Faulty as _};
use super::layer;
use crate::policy::change::{Change, FieldChange, diff};
use crate::policy::file::{Delegated, PackFile};
use crate::policy::order::{AtMost, LogDays};

/// Compares two packs, each with the parents found in its set: in force on the pack's first day, or the
/// first that comes into force later. A change of what is not ordered (whom the pack applies to, its
/// domain, its parent) is incomparable; a sooner review is a tightening. First and last days are a matter
/// of scheduling, and don't count.
///
/// # Errors
/// [`SetErrors`] when a pack can't be laid out with its parents.
pub fn diff_packs(
    (old, old_set): (&PackFile, &PackSet),
    (new, new_set): (&PackFile, &PackSet),
) -> Result<Vec<FieldChange>, SetErrors> {
    let (was, is) = (old_set.flat_of(old)?, new_set.flat_of(new)?);
    let mut changes = vec![
        unordered("inherits", &old.inherits, &new.inherits),
        unordered("domain", &was.domain, &is.domain),
        unordered("applies", &old.applies, &new.applies),
        FieldChange::new(
            "review_by",
            Change::between(&AtMost(old.review_by), &AtMost(new.review_by)),
            AtMost(old.review_by),
            AtMost(new.review_by),
        ),
    ];
    let names: BTreeSet<&Box<str>> = old.delegated.keys().chain(new.delegated.keys()).collect();
    for name in names {
        changes.push(delegated(name, old.delegated.get(name), new.delegated.get(name)));
    }
    changes.extend(diff(&was.policy, &is.policy));
    Ok(changes)
}

fn unordered<T: PartialEq + Debug>(field: &str, old: &T, new: &T) -> FieldChange {
    let change = if old == new { Change::Same } else { Change::Incomparable };
    FieldChange::new(field, change, format!("{old:?}"), format!("{new:?}"))
}

/// Narrower bounds are a tightening; a field delegated anew, or no longer, is incomparable.
fn delegated(name: &str, old: Option<&Delegated>, new: Option<&Delegated>) -> FieldChange {
    let bounds =
        |field: &Delegated| LogDays { min: field.min.into(), max: AtMost(Some(field.max.into())) };
    let change = match (old, new) {
        (Some(old), Some(new)) => Change::between(&bounds(old), &bounds(new)),
        _ => Change::Incomparable,
    };
    let shown = |field: Option<&Delegated>| match field {
        Some(field) => format!("{} in {} to {}", field.default, field.min, field.max),
        None => "not delegated".to_owned(),
    };
    FieldChange::new(&format!("delegated.{name}"), change, shown(old), shown(new))
}

impl PackSet {
    /// Lays a pack out with the parents that this set has for it.
    fn flat_of(&self, file: &PackFile) -> Result<Flat, SetErrors> {
        let refused = |faults: Vec<Fault>| SetErrors(file.faults(&faults));
        let mut chain = vec![Arc::new(file.clone())];
        while let Some(parent) = chain.last().and_then(|file| file.inherits.clone()) {
            if chain.iter().any(|file| file.pack == parent) {
                return Err(refused(vec![Fault::Cycle { by: parent.to_string() }]));
            }
            let versions: Vec<Arc<PackFile>> = (self.layers.iter())
                .flat_map(|layer| layer.files.get(&parent).into_iter().flatten().cloned())
                .collect();
            let found = layer::in_force(&versions, file.effective_from)
                .or_else(|| versions.iter().min_by_key(|parent| parent.effective_from));
            let missing = || refused(vec![Fault::NoParent { parent: parent.to_string() }]);
            chain.push(Arc::clone(found.ok_or_else(missing)?));
        }
        let refs = chain.iter().map(|file| layer::reference(file)).collect();
        lay::flat(&chain, refs, None, file.effective_from).map_err(refused)
    }
}
