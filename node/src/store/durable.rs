//! Small files that are either wholly there or wholly the old one, whenever the power fails.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::error::StoreError;

/// Marks a checked file.
const MAGIC: &[u8; 8] = b"BWCHECK1";

/// Writes `body` with a checksum to `path`: to a neighbour first, synced, renamed, directory synced.
///
/// # Errors
/// [`StoreError::Io`]; the old file is then still there.
pub fn write_checked(path: &Path, body: &[u8]) -> Result<(), StoreError> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh).map_err(StoreError::io("create", &fresh))?;
    let checksum = crc32fast::hash(body).to_le_bytes();
    [MAGIC.as_slice(), &checksum, body]
        .into_iter()
        .try_for_each(|part| file.write_all(part))
        .and_then(|()| file.sync_all())
        .map_err(StoreError::io("write", &fresh))?;
    fs::rename(&fresh, path).map_err(StoreError::io("rename to", path))?;
    sync_parent(path)
}

/// Reads what [`write_checked`] wrote; none when there is no such file.
///
/// # Errors
/// [`StoreError::Damaged`] when it is not what was written, [`StoreError::Io`] when it can't be read.
pub fn read_checked(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let damaged =
        |why: &str| StoreError::Damaged { what: path.display().to_string(), why: why.to_owned() };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it has not our magic number"))?;
    let (checksum, body) =
        rest.split_first_chunk::<4>().ok_or_else(|| damaged("it is too short"))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(damaged("its checksum does not hold"));
    }
    Ok(Some(body.to_vec()))
}

/// Makes durable that `path` is in its directory under this name.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(StoreError::io("sync", parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_or_missing_byte_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        assert!(read_checked(&path).unwrap().is_none());
        write_checked(&path, b"first").unwrap();
        write_checked(&path, b"second").unwrap();
        assert_eq!(read_checked(&path).unwrap().as_deref(), Some(b"second".as_slice()));
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(matches!(read_checked(&path), Err(StoreError::Damaged { .. })), "flip at {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert!(matches!(read_checked(&path), Err(StoreError::Damaged { .. })), "cut at {at}");
        }
    }
}
