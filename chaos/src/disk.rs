//! A disk whose power can be cut: ext4 on a loop device over a file.
//!
//! What the file system has handed to the device is in the file; what it still holds in memory is not. A
//! copy of the file, taken while the writers are halted, is what a power cut would have left.

use std::path::{Path, PathBuf};

use crate::ChaosError;
use crate::system::system;

/// A mounted disk.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    image: PathBuf,
    device: String,
    cuts: u32,
}

impl Disk {
    /// Makes a disk of `mebibytes` in `folder` and mounts it at `folder/mounted`.
    ///
    /// # Errors
    /// [`ChaosError::NoDisk`]: without root, loop devices or room.
    pub fn new(folder: &Path, mebibytes: u32) -> Result<Self, ChaosError> {
        Self::make(folder, mebibytes).map_err(|why| ChaosError::NoDisk(Box::new(why)))
    }

    fn make(folder: &Path, mebibytes: u32) -> Result<Self, ChaosError> {
        let image = folder.join("disk-0");
        let file = std::fs::File::create(&image)?;
        file.set_len(u64::from(mebibytes) << 20)?;
        let text = image.display().to_string();
        system("mkfs.ext4", &["-q", "-F", &text])?;
        std::fs::create_dir_all(folder.join("mounted"))?;
        let mut disk = Self { folder: folder.to_owned(), image, device: String::new(), cuts: 0 };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join("mounted")
    }

    fn mount(&mut self) -> Result<(), ChaosError> {
        self.device = system("losetup", &["-f", "--show", &self.image.display().to_string()])?;
        let path = self.path().display().to_string();
        system("mount", &["-o", "commit=5", &self.device, &path]).map(drop)
    }

    fn unmount(&mut self) -> Result<(), ChaosError> {
        let path = self.path().display().to_string();
        system("umount", &[&path])?;
        let device = std::mem::take(&mut self.device);
        system("losetup", &["-d", &device]).map(drop)
    }

    /// Takes the copy that a power cut at this moment would leave. The writers must be halted.
    ///
    /// # Errors
    /// [`ChaosError`].
    pub fn cut(&mut self) -> Result<Cut, ChaosError> {
        self.cuts += 1;
        let survives = self.folder.join(format!("disk-{}", self.cuts));
        let (from, to) = (self.image.display().to_string(), survives.display().to_string());
        system("cp", &["--sparse=always", &from, &to])?;
        Ok(Cut { survives })
    }

    /// Goes on with what survived. The writers must be gone.
    ///
    /// # Errors
    /// [`ChaosError`], also when the file system does not mount any more.
    pub fn restore(&mut self, cut: Cut) -> Result<(), ChaosError> {
        self.unmount()?;
        std::fs::remove_file(&self.image)?;
        self.image = cut.survives;
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if !self.device.is_empty() {
            // What can't be taken down is left for the operator; there is nobody to tell.
            let _ = self.unmount();
        }
    }
}

/// What a power cut left.
#[derive(Debug)]
pub struct Cut {
    survives: PathBuf,
}
