//! Puts the default packs into the binary, so that `bailiwick dev` needs no other file.

use std::fmt::Write as _;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let packs = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../deploy/policies");
    println!("cargo:rerun-if-changed={}", packs.display());
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&packs)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path.canonicalize()?);
        }
    }
    files.sort();
    let mut code = String::from(
        "/// The name and the text of each.\npub(super) const TEXTS: &[(&str, &str)] = &[\n",
    );
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        writeln!(code, "    ({name:?}, include_str!({:?})),", file.display().to_string())?;
    }
    code.push_str("];\n");
    std::fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("packs.rs"), code)?;
    Ok(())
}
