//! A batch and its file.

use bailiwick_core::ids::UnixMillis;
use bailiwick_proto::store::{BufferedBody, BufferedEvents};
use prost::Message as _;
use ring::rand::SystemRandom;

use super::error::BufferError;
use crate::seal::{DataKey, PersonKey, SealError};
use crate::users::{Facts, NewEvent, Vault, check_events};

/// The version of the buffer's files.
const FORMAT: u32 = 1;
/// Bytes of the checksum at a file's end.
const CHECKSUM_BYTES: usize = 4;

/// Events that wait: all that is needed to decide again and to store them.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The person whose events they are.
    pub person: PersonKey,
    /// When they were taken.
    pub received: UnixMillis,
    /// When they were sent, by the clock of the edge; where it is not known, when they were taken.
    pub asked: UnixMillis,
    /// What the decision was made from.
    pub facts: Facts,
    /// The events.
    pub events: Vec<NewEvent>,
}

/// The file of a batch, sealed under a key of its own: nothing is read to make it, since the group
/// can't be asked.
pub(super) fn encode(vault: &Vault, batch: &Batch) -> Result<Vec<u8>, BufferError> {
    check_events(&batch.events)?;
    let entropy = SystemRandom::new();
    let key = DataKey::generate(&entropy)?;
    let body = BufferedBody {
        events: batch.events.iter().map(NewEvent::to_row).collect(),
        facts: Some(batch.facts.to_message()),
        asked_ms: batch.asked.0,
    };
    let place = vault.buffer_place(&batch.person);
    let file = BufferedEvents {
        format: FORMAT,
        received_ms: batch.received.0,
        group: vault.group().to_string(),
        row_key: batch.person.as_bytes().to_vec(),
        key: Some(vault.wrap_person(&batch.person, &key)?),
        body: Some(key.seal_body(&entropy, &place, &body.encode_to_vec())?),
    };
    let mut bytes = file.encode_to_vec();
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    Ok(bytes)
}

/// Reads a file as far as it stands in the clear.
pub(crate) fn decode(bytes: &[u8]) -> Result<BufferedEvents, BufferError> {
    let at = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(BufferError::Torn)?;
    let (body, checksum) = bytes.split_at(at);
    if crc32fast::hash(body).to_be_bytes() != checksum {
        return Err(BufferError::Torn);
    }
    let file = BufferedEvents::decode(body).map_err(|_| BufferError::Torn)?;
    match file.format {
        0 => Err(BufferError::Torn),
        found if found > FORMAT => {
            Err(SealError::Newer { what: "a buffered batch", found, known: FORMAT }.into())
        }
        _ => Ok(file),
    }
}

/// Opens what a file holds.
pub(super) fn unseal(vault: &Vault, file: &BufferedEvents) -> Result<Batch, BufferError> {
    let row_key: [u8; 32] = file.row_key.as_slice().try_into().map_err(|_| BufferError::Torn)?;
    let person = PersonKey::from_bytes(row_key);
    let wrapped = file.key.as_ref().ok_or(BufferError::Torn)?;
    let sealed = file.body.as_ref().ok_or(BufferError::Torn)?;
    let key = vault.unwrap_person(&person, wrapped)?;
    let plain = key.open_body(&vault.buffer_place(&person), sealed)?;
    let body = BufferedBody::decode(plain.as_slice()).map_err(|_| BufferError::Torn)?;
    Ok(Batch {
        person,
        received: UnixMillis(file.received_ms),
        asked: UnixMillis(if body.asked_ms == 0 { file.received_ms } else { body.asked_ms }),
        facts: Facts::of::<BufferError>(&body.facts.unwrap_or_default())?,
        events: body.events.iter().map(NewEvent::of).collect::<Result<_, _>>()?,
    })
}
