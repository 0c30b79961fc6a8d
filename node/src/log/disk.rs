//! The seam to the file system: a real disk here, a simulated one in [`super::sim`].

use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file system as the log uses it.
pub trait Disk: Debug + Send + Sync {
    /// Makes a directory and its parents.
    ///
    /// # Errors
    /// The file system's.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The files of a directory.
    ///
    /// # Errors
    /// The file system's.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes a file that must not exist yet.
    ///
    /// # Errors
    /// The file system's.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// The file system's.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Removes a file. Handles that are open still read it.
    ///
    /// # Errors
    /// The file system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes durable which files a directory has.
    ///
    /// # Errors
    /// The file system's.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
}

/// One open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Bytes of the file.
    ///
    /// # Errors
    /// The file system's.
    fn length(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// The file system's, also when the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The file system's; some of the bytes may then be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file.
    ///
    /// # Errors
    /// The file system's.
    fn cut(&self, length: u64) -> io::Result<()>;

    /// Makes durable what was written.
    ///
    /// # Errors
    /// The file system's. What was written may then be lost, even if a later sync succeeds.
    fn sync(&self) -> io::Result<()>;
}

/// Whether syncs reach the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syncing {
    /// Every sync is done.
    #[default]
    Real,
    /// Syncs are skipped: for tests that are not about durability.
    Skipped,
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk {
    /// Whether syncs reach the device.
    pub syncing: Syncing,
}

#[derive(Debug)]
struct RealFile {
    file: File,
    syncing: Syncing,
}

impl RealDisk {
    fn file(self, file: File) -> Arc<dyn DiskFile> {
        Arc::new(RealFile { file, syncing: self.syncing })
    }
}

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = File::options().create_new(true).read(true).write(true).open(path)?;
        Ok(self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(File::options().read(true).write(true).open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        match self.syncing {
            Syncing::Real => File::open(directory)?.sync_all(),
            Syncing::Skipped => Ok(()),
        }
    }
}

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        match self.syncing {
            Syncing::Real => self.file.sync_data(),
            Syncing::Skipped => Ok(()),
        }
    }
}
