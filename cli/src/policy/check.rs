//! `policy check`: is every pack right, alone and among the others?

use std::io::{self, Write};
use std::path::Path;

use super::{Outcome, packs};

pub(super) fn check(dir: &Path, out: &mut impl Write, err: &mut impl Write) -> io::Result<Outcome> {
    let Some(loaded) = packs::load(dir, err)? else { return Ok(Outcome::Faulty) };
    let mut warnings = loaded.set.warnings().to_vec();
    warnings.extend(loaded.set.warnings_on(super::explain::today()));
    for warning in &warnings {
        writeln!(err, "warning: {warning}")?;
    }
    for pack in loaded.set.packs() {
        let until = pack.effective_to().map_or(String::new(), |day| format!(" to {day}"));
        let (id, version, from) = (pack.pack(), pack.version(), pack.effective_from());
        writeln!(out, "{id} version {version}, from {from}{until}, {}", pack.hash())?;
    }
    writeln!(out, "{} packs, {} errors, {} warnings", loaded.files, loaded.faults, warnings.len())?;
    Ok(Outcome::of(loaded.faults))
}
