//! What can go wrong with the log.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_core::kind::Kind;

/// A failure of the log. Cloneable, since everyone who waits in a batch is told.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("the log could not {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// A record is damaged that was once durable, or that others follow.
    #[error("the log file {path} is damaged at byte {offset}: {why}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// A file of a newer build.
    #[error("the log file {path} has version {found}, this build reads up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// A file of another data directory.
    #[error("the log file {path} belongs to another data directory")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A whole file is missing between others.
    #[error("the log file {path} is missing")]
    MissingSegment {
        /// The file.
        path: PathBuf,
    },
    /// Entries of a group are missing.
    #[error("the log of {group} lacks entry {index}")]
    Hole {
        /// The group.
        group: String,
        /// The first entry that is missing.
        index: u64,
    },
    /// An append that does not follow what is there.
    #[error("entry {found} of {group} does not follow entry {last}")]
    NotConsecutive {
        /// The group.
        group: String,
        /// The last entry there is.
        last: u64,
        /// The entry that was to be appended.
        found: u64,
    },
    /// An entry that is larger than a record may be.
    #[error("an entry of {group} has {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// The group.
        group: String,
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// An earlier failure: nothing is written any more, until the process is started anew.
    #[error("the log stopped after a failure: {0}")]
    Poisoned(Arc<LogError>),
    /// A fault of this system in the one that writes.
    #[error("the log's writer panicked")]
    WriterPanicked,
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source: Arc::new(source) }
    }

    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Newer { .. } => Kind::Stale,
            Self::NotConsecutive { .. } | Self::TooLarge { .. } | Self::Foreign { .. } => {
                Kind::Invalid
            }
            Self::Closed => Kind::Unavailable,
            _ => Kind::Broken,
        }
    }

    /// The same failure, as later callers are told.
    pub(crate) fn poisoned(&self) -> Self {
        match self {
            Self::Poisoned(_) | Self::Closed => self.clone(),
            first => Self::Poisoned(Arc::new(first.clone())),
        }
    }
}

impl From<LogError> for io::Error {
    fn from(error: LogError) -> Self {
        let kind = match &error {
            LogError::Io { source, .. } => source.kind(),
            LogError::Corrupt { .. } | LogError::Hole { .. } => io::ErrorKind::InvalidData,
            LogError::NotConsecutive { .. } | LogError::TooLarge { .. } => {
                io::ErrorKind::InvalidInput
            }
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
