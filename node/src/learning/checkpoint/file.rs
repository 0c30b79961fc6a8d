//! The bytes of a checkpoint's file: little-endian, written and read as a stream, since they are several times a
//! model's. Whether they are whole says the hash that names them.

use std::io::{self, Read, Write};

use bailiwick_core::ids::{IdError, ItemId};
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Census, LearningError, Training, TrainingOptions, TrainingState};

use crate::learning::ItemOrder;

const MAGIC: &[u8; 8] = b"BWTRAIN1";
/// The version of what follows the magic number.
const VERSION: u32 = 3;
/// Bytes of a run's id.
const RUN_BYTES: usize = 16;
/// Values that are read at once.
const VALUES_AT_ONCE: usize = 1 << 14;

/// Why a checkpoint can't be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It ends early, or goes on too long.
    #[error("the checkpoint is torn: {0}")]
    Torn(&'static str),
    /// It could not be read.
    #[error("the checkpoint could not be read: {0}")]
    Io(#[from] io::Error),
    /// A newer build made it.
    #[error("the checkpoint has version {found}, this build reads up to {VERSION}")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// It is of another run, or of one with other options, as those of another build may be.
    #[error("the checkpoint is of another run or other options")]
    Other,
    /// An item's id is none.
    #[error(transparent)]
    Item(#[from] IdError),
    /// Its values are none that a training had.
    #[error(transparent)]
    State(#[from] LearningError),
}

impl CheckpointError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Newer { .. } | Self::Other => Kind::Invalid,
            Self::Torn(_) | Self::Io(_) | Self::Item(_) | Self::State(_) => Kind::Broken,
        }
    }
}

/// A training under way, and what it is of.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The items, by number.
    pub order: ItemOrder,
    /// The training.
    pub training: Training,
}

fn count(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

/// Writes a training of a run.
///
/// # Errors
/// Those of the writer.
pub(super) fn write(
    out: &mut impl Write,
    run: &[u8],
    options: &TrainingOptions,
    order: &ItemOrder,
    training: &Training,
) -> io::Result<()> {
    let TrainingState { census, done, fineness, short, values } = training.state();
    let bits = options.bits();
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(run)?;
    out.write_all(&count(bits.len()))?;
    bits.iter().try_for_each(|bits| out.write_all(&bits.to_le_bytes()))?;
    out.write_all(&count(order.len()))?;
    for item in order.ids() {
        // At most 128 bytes.
        out.write_all(&[u8::try_from(item.as_str().len()).unwrap_or(u8::MAX)])?;
        out.write_all(item.as_str().as_bytes())?;
    }
    let numbers =
        [census.people, census.pairs, done.into(), short[0].to_bits(), short[1].to_bits()];
    numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))?;
    out.write_all(&fineness)?;
    for value in values.iter().flat_map(|part| part.iter()) {
        out.write_all(&value.to_le_bytes())?;
    }
    out.flush()
}

/// Reads the training of a run with these options.
///
/// # Errors
/// [`CheckpointError`] for whatever [`write`] did not make of one.
pub(super) fn read(
    from: &mut impl Read,
    run: &[u8],
    options: TrainingOptions,
) -> Result<Checkpoint, CheckpointError> {
    let mut from = Source(from);
    if from.bytes::<8>()? != *MAGIC {
        return Err(CheckpointError::Torn("it has not our magic number"));
    }
    match from.short()? {
        VERSION => {}
        // An older build summed in other steps.
        found if found < VERSION => return Err(CheckpointError::Other),
        found => return Err(CheckpointError::Newer { found }),
    }
    let same = from.bytes::<RUN_BYTES>()? == *run && from.options()? == options.bits();
    if !same {
        return Err(CheckpointError::Other);
    }
    let order = from.items()?;
    let census = Census { people: from.long()?, pairs: from.long()? };
    let done = u32::try_from(from.long()?);
    let done = done.map_err(|_| CheckpointError::Torn("it has too many rounds"))?;
    let short = [from.long()?, from.long()?].map(f64::from_bits);
    let fineness = from.bytes()?;
    let layout = options.layout(census, order.len(), done);
    let values = layout.into_iter().map(|count| from.values(count)).collect::<Result<_, _>>()?;
    if from.0.read(&mut [0])? != 0 {
        return Err(CheckpointError::Torn("it goes on too long"));
    }
    let state = TrainingState { census, done, fineness, short, values };
    let training = Training::resume(options, order.len(), state)?;
    Ok(Checkpoint { order, training })
}

/// What is not read yet.
struct Source<'a, R>(&'a mut R);

impl<R: Read> Source<'_, R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CheckpointError> {
        self.0.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CheckpointError::Torn("it ends early"),
            _ => error.into(),
        })
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).map(|()| bytes)
    }

    fn short(&mut self) -> Result<u32, CheckpointError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Result<u64, CheckpointError> {
        self.bytes().map(u64::from_le_bytes)
    }

    // What is announced is not believed: memory grows with what comes.
    fn options(&mut self) -> Result<Vec<u64>, CheckpointError> {
        let mut options = Vec::new();
        for _ in 0..self.short()? {
            options.push(self.long()?);
        }
        Ok(options)
    }

    fn items(&mut self) -> Result<ItemOrder, CheckpointError> {
        let mut ids = Vec::new();
        for _ in 0..self.short()? {
            let [length] = self.bytes()?;
            let mut text = vec![0; length.into()];
            self.fill(&mut text)?;
            let text = String::from_utf8(text);
            ids.push(ItemId::new(
                text.map_err(|_| CheckpointError::Torn("an item is not UTF-8"))?,
            )?);
        }
        let order = ItemOrder::new(ids.clone());
        match order.ids() == ids {
            true => Ok(order),
            false => Err(CheckpointError::Torn("its items are not in order")),
        }
    }

    fn values(&mut self, count: usize) -> Result<Vec<f32>, CheckpointError> {
        let (mut values, mut room) = (Vec::new(), vec![[0; 4]; VALUES_AT_ONCE.min(count)]);
        while values.len() < count {
            let some = room.len().min(count - values.len());
            let part = room.get_mut(..some).unwrap_or_default();
            self.fill(part.as_flattened_mut())?;
            values.extend(part.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
        Ok(values)
    }
}
