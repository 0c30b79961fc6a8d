//! `policy diff`: tightening, loosening or incomparable, field by field.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use bailiwick_core::ids::Jurisdiction;
use bailiwick_core::policy::{Change, FieldChange, PackFile, PackSet, diff_packs};

use super::{Outcome, packs};

pub(super) fn diff(
    old: &Path,
    new: &Path,
    parents: Option<&Path>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Outcome> {
    match (old.is_dir(), new.is_dir()) {
        (true, true) => directories(old, new, out, err),
        (false, false) => files(old, new, parents, out, err),
        _ => {
            writeln!(err, "error: compare two files or two directories, not one of each")?;
            Ok(Outcome::Faulty)
        }
    }
}

fn files(
    old: &Path,
    new: &Path,
    parents: Option<&Path>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Outcome> {
    let one = side(old, parents, err)?;
    let two = side(new, parents, err)?;
    let (Some((old, old_set)), Some((new, new_set))) = (one, two) else {
        return Ok(Outcome::Faulty);
    };
    match diff_packs((&old, &old_set), (&new, &new_set)) {
        Ok(changes) => write(out, &title(&old, &new), &changes).map(|_| Outcome::Right),
        Err(error) => {
            writeln!(err, "error: {error}")?;
            Ok(Outcome::Faulty)
        }
    }
}

/// A pack and the packs where its parents are found.
fn side(
    path: &Path,
    parents: Option<&Path>,
    err: &mut impl Write,
) -> io::Result<Option<(PackFile, PackSet)>> {
    let file = match packs::read(path) {
        Ok(file) => file,
        Err(refused) => {
            refused.write(path, err)?;
            return Ok(None);
        }
    };
    if file.inherits().is_none() {
        return Ok(Some((file, PackSet::empty())));
    }
    let beside = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = parents.or(beside).unwrap_or(Path::new("."));
    Ok(packs::load(dir, err)?.map(|loaded| (file, loaded.set)))
}

fn directories(
    old: &Path,
    new: &Path,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Outcome> {
    let (Some(old), Some(new)) = (packs::load(old, err)?, packs::load(new, err)?) else {
        return Ok(Outcome::Faulty);
    };
    let ids: BTreeSet<Jurisdiction> =
        old.set.packs().chain(new.set.packs()).map(|file| file.pack().clone()).collect();
    let mut faults = old.faults + new.faults;
    let mut total = Change::Same;
    for id in &ids {
        match (old.set.pack(id, None), new.set.pack(id, None)) {
            (Some(was), Some(is)) => match diff_packs((was, &old.set), (is, &new.set)) {
                Ok(changes) => total = total.and(write(out, &title(was, is), &changes)?),
                Err(error) => {
                    faults += 1;
                    writeln!(err, "error: {error}")?;
                }
            },
            (None, Some(is)) => {
                total = total.and(Change::Incomparable);
                writeln!(out, "{id}: added, version {}", is.version())?;
            }
            _ => {
                total = total.and(Change::Incomparable);
                writeln!(out, "{id}: removed")?;
            }
        }
    }
    writeln!(out, "all packs: {total}")?;
    Ok(Outcome::of(faults))
}

fn title(old: &PackFile, new: &PackFile) -> String {
    let (a, b) = (old.pack(), new.pack());
    format!("{a} version {} -> {b} version {}", old.version(), new.version())
}

/// Writes what differs, then what the whole comes to.
fn write(out: &mut impl Write, title: &str, changes: &[FieldChange]) -> io::Result<Change> {
    let whole = changes.iter().fold(Change::Same, |whole, field| whole.and(field.change));
    writeln!(out, "{title}: {whole}")?;
    for field in changes {
        match field.change {
            Change::Same => writeln!(out, "  {:<14}{}", field.change, field.field)?,
            change => {
                writeln!(out, "  {change:<14}{}: {} -> {}", field.field, field.old, field.new)?;
            }
        }
    }
    Ok(whole)
}
