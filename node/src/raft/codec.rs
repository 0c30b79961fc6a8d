//! Our own encodings of openraft's types, for log, snapshots and RPC bodies: one version byte, then
//! protobuf. Never a library's serde form, so that a node of version n+1 reads what n wrote.

use bailiwick_core::ids::IdError;
use bailiwick_core::kind::Kind;
use bytes::Bytes;
use prost::Message;

/// The version that this build writes, and the newest that it reads.
pub const CODEC_VERSION: u8 = 1;

/// Why bytes could not be decoded. The bytes themselves are never quoted: they may be personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// There is not even a version byte.
    #[error("an encoded {what} is empty")]
    Empty {
        /// What was to be decoded.
        what: &'static str,
    },
    /// Written by a newer build.
    #[error("{what} has encoding version {found}, this build reads up to {CODEC_VERSION}")]
    Newer {
        /// What was to be decoded.
        what: &'static str,
        /// The version found.
        found: u8,
    },
    /// Not our protobuf.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What was to be decoded.
        what: &'static str,
        /// The decoder's words, which name fields and never quote values.
        why: String,
    },
    /// A part that must be there is not.
    #[error("{what} lacks its {part}")]
    Missing {
        /// What was to be decoded.
        what: &'static str,
        /// The missing part.
        part: &'static str,
    },
    /// A name is not valid.
    #[error("a member's name, domain or region is not valid: {0}")]
    Name(#[from] IdError),
}

impl CodecError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Newer { .. } => Kind::Stale,
            _ => Kind::Invalid,
        }
    }
}

impl From<CodecError> for std::io::Error {
    fn from(error: CodecError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// Values that have an encoding of ours. The implementations are the whole list.
pub trait Wire: Sized {
    /// Encodes the value, version first.
    fn encode(&self) -> Bytes;

    /// Decodes a value. Payloads share the buffer, nothing large is copied.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are of a newer version, or are not this value.
    fn decode(bytes: Bytes) -> Result<Self, CodecError>;
}

/// The protobuf form of a value.
pub(crate) trait Form: Sized {
    /// The message.
    type Message: Message + Default;
    /// The value's name in errors.
    const WHAT: &'static str;
    fn to_form(&self) -> Self::Message;
    fn from_form(form: Self::Message) -> Result<Self, CodecError>;
}

impl<T: Form> Wire for T {
    fn encode(&self) -> Bytes {
        let form = self.to_form();
        let mut out = Vec::with_capacity(1 + form.encoded_len());
        out.push(CODEC_VERSION);
        form.encode_raw(&mut out);
        out.into()
    }

    fn decode(mut bytes: Bytes) -> Result<Self, CodecError> {
        match bytes.first() {
            None => return Err(CodecError::Empty { what: T::WHAT }),
            Some(&found) if found > CODEC_VERSION || found == 0 => {
                return Err(CodecError::Newer { what: T::WHAT, found });
            }
            Some(_) => {}
        }
        let form = T::Message::decode(bytes.split_off(1))
            .map_err(|e| CodecError::Malformed { what: T::WHAT, why: e.to_string() })?;
        T::from_form(form)
    }
}

pub(crate) fn need<T>(
    part: Option<T>,
    what: &'static str,
    name: &'static str,
) -> Result<T, CodecError> {
    part.ok_or(CodecError::Missing { what, part: name })
}
