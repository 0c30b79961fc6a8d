//! Where rows come from: a file or bytes inside this program, packed or not.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::DataError;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes with the name under which errors speak of them.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) bytes: Box<dyn BufRead>,
}

impl Source {
    pub(super) fn file(path: &Path) -> Result<Self, DataError> {
        let name = path.display().to_string();
        let open = |source| DataError::Open { file: path.display().to_string(), source };
        let file = File::open(path).map_err(open)?;
        Self::unpacked(name, BufReader::with_capacity(1 << 16, file))
    }

    pub(super) fn embedded(name: &str, bytes: &'static [u8]) -> Result<Self, DataError> {
        Self::unpacked(name.to_owned(), bytes)
    }

    /// Gzip is told by its first bytes, whatever the file is called.
    fn unpacked(name: String, mut bytes: impl BufRead + 'static) -> Result<Self, DataError> {
        let start =
            bytes.fill_buf().map_err(|source| DataError::Open { file: name.clone(), source })?;
        let bytes: Box<dyn BufRead> = if start.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(bytes)))
        } else {
            Box::new(bytes)
        };
        Ok(Self { name, bytes })
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.bytes.read(buffer)
    }
}
