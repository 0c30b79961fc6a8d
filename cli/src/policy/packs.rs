//! Reads a directory of packs.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_core::ids::Jurisdiction;
use bailiwick_core::policy::{Candidate, PackFile, PackSet};

/// What a directory of packs came to.
pub(super) struct Loaded {
    /// The packs; one that is at fault counts as STRICT.
    pub(super) set: PackSet,
    /// How many files were read and right.
    pub(super) files: usize,
    /// How many faults were reported.
    pub(super) faults: usize,
}

/// Reads every `.toml` file of `dir`; faults are written to `err`, each with file, line and column.
pub(super) fn load(dir: &Path, err: &mut impl Write) -> io::Result<Option<Loaded>> {
    let paths = match toml_files(dir) {
        Ok(paths) if paths.is_empty() => {
            writeln!(err, "error: {} has no .toml file", dir.display())?;
            return Ok(None);
        }
        Ok(paths) => paths,
        Err(error) => {
            writeln!(err, "error: {}: {error}", dir.display())?;
            return Ok(None);
        }
    };
    let mut faults = 0;
    let mut candidates = Vec::new();
    for path in &paths {
        match read(path) {
            Ok(file) => candidates.push(Candidate::Read(Arc::new(file))),
            Err(refused) => {
                faults += refused.messages.len();
                refused.write(path, err)?;
                candidates.extend(refused.pack.map(Candidate::Unreadable));
            }
        }
    }
    let (set, found) = PackSet::lenient(candidates);
    for fault in &found {
        writeln!(err, "error: {fault}")?;
    }
    let files = set.packs().count();
    Ok(Some(Loaded { set, files, faults: faults + found.len() }))
}

fn toml_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A file that is no pack.
pub(super) struct Refused {
    /// What is wrong with it.
    messages: Vec<String>,
    /// The pack it most likely is: by its text, else by the file's name up to the first dot.
    pack: Option<Jurisdiction>,
}

impl Refused {
    /// Says so.
    pub(super) fn write(&self, path: &Path, err: &mut impl Write) -> io::Result<()> {
        for message in &self.messages {
            writeln!(err, "error: {}:{message}", path.display())?;
        }
        match &self.pack {
            Some(pack) => writeln!(err, "{pack} counts as STRICT until this is mended"),
            None => Ok(()),
        }
    }
}

/// Reads one pack file.
pub(super) fn read(path: &Path) -> Result<PackFile, Refused> {
    let named = || path.file_name()?.to_str()?.split('.').next()?.parse().ok();
    let bytes = fs::read(path)
        .map_err(|error| Refused { messages: vec![format!(" {error}")], pack: named() })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let messages = vec![format!(" not UTF-8: {error}")];
        Refused { messages, pack: named() }
    })?;
    PackFile::parse(&text).map_err(|errors| Refused {
        messages: errors.0.iter().map(ToString::to_string).collect(),
        pack: PackFile::id_in(&text).or_else(named),
    })
}
