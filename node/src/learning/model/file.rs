//! The bytes of a model's file: little-endian, with a checksum behind all of it.

use bailiwick_ann::AnnError;
use bailiwick_core::ids::{IdError, ItemId};
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Blend, Block, LearningError, PooledModel};

use super::index;
use crate::learning::ItemOrder;

const MAGIC: &[u8; 8] = b"BWMODEL1";
/// The version of what follows the magic number.
const VERSION: u32 = 3;
/// The first version with an index.
const WITH_INDEX: u32 = 2;
/// The first version with a split and a blend.
const WITH_BLEND: u32 = 3;
const CHECKSUM_BYTES: usize = 4;
const VALUE_BYTES: usize = 4;

/// Why bytes are no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// It ends too early, goes on too long, or its checksum does not hold.
    #[error("the model's file is torn: {0}")]
    Torn(&'static str),
    /// A newer build made it.
    #[error("the model's file has version {found}, this build reads up to {VERSION}")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// An item's id is none.
    #[error(transparent)]
    Item(#[from] IdError),
    /// The vectors are none.
    #[error(transparent)]
    Vectors(#[from] LearningError),
}

impl ModelFileError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Newer { .. } => Kind::Invalid,
            Self::Torn(_) | Self::Item(_) | Self::Vectors(_) => Kind::Broken,
        }
    }
}

/// A model, and the items that it knows by number.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    /// The items.
    pub order: ItemOrder,
    /// Their vectors.
    pub model: PooledModel,
    /// The index over what may be recommended, built once for all nodes; empty where each is to build its own.
    pub index: Vec<u8>,
}

fn put_number(out: &mut Vec<u8>, number: usize) {
    out.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

impl ModelFile {
    /// A model without an index.
    #[must_use]
    pub fn new(order: ItemOrder, model: PooledModel) -> Self {
        Self { order, model, index: Vec::new() }
    }

    /// The same with its index. Computes for long.
    ///
    /// # Errors
    /// [`AnnError`].
    pub fn indexed(self) -> Result<Self, AnnError> {
        let index = index::build(&self.model)?.to_bytes(0)?;
        // What has no room in the file is built by each node.
        let index = if u32::try_from(index.len()).is_ok() { index } else { Vec::new() };
        Ok(Self { index, ..self })
    }

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        put_number(&mut out, self.order.len());
        put_number(&mut out, self.model.dimensions());
        put_number(&mut out, self.model.split());
        let Blend { pooled, spectral, lists } = self.model.blend();
        [pooled, spectral, lists].iter().for_each(|weight| out.extend(weight.to_le_bytes()));
        for item in self.order.ids() {
            // At most 128 bytes.
            out.push(u8::try_from(item.as_str().len()).unwrap_or(u8::MAX));
            out.extend(item.as_str().as_bytes());
        }
        let values = self.model.targets().values().iter().chain(self.model.history().values());
        values.for_each(|value| out.extend(value.to_le_bytes()));
        put_number(&mut out, self.index.len());
        out.extend(&self.index);
        let checksum = crc32fast::hash(&out);
        out.extend(checksum.to_le_bytes());
        out
    }

    /// Reads a file whole.
    ///
    /// # Errors
    /// [`ModelFileError`] for whatever [`ModelFile::encode`] did not make.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelFileError> {
        let short = ModelFileError::Torn("it is too short");
        let at = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(short)?;
        let (body, checksum) = bytes.split_at(at);
        if crc32fast::hash(body).to_le_bytes() != checksum {
            return Err(ModelFileError::Torn("its checksum does not hold"));
        }
        let mut rest = Rest(body);
        if rest.take(MAGIC.len())? != MAGIC {
            return Err(ModelFileError::Torn("it has not our magic number"));
        }
        let version = rest.number()?;
        if version > VERSION {
            return Err(ModelFileError::Newer { found: version });
        }
        let (items, dimensions) = (rest.count()?, rest.count()?);
        let (split, blend) = match version < WITH_BLEND {
            true => (dimensions, Blend::DEFAULT),
            false => (rest.count()?, rest.blend()?),
        };
        let mut ids = Vec::new();
        for _ in 0..items {
            ids.push(rest.item()?);
        }
        let targets = rest.block(items, dimensions)?;
        let history = rest.block(items, dimensions)?;
        let index = if version < WITH_INDEX { Vec::new() } else { rest.index()? };
        let order = ItemOrder::new(ids.clone());
        if !rest.0.is_empty() || order.ids() != ids {
            return Err(ModelFileError::Torn("its parts do not fit"));
        }
        let model = PooledModel::received(targets, history)?.split_at(split)?.weighing(blend);
        Ok(Self { order, model, index })
    }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], ModelFileError> {
        let found = self.0.split_at_checked(bytes);
        let (taken, rest) = found.ok_or(ModelFileError::Torn("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, ModelFileError> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(bytes))
    }

    fn count(&mut self) -> Result<usize, ModelFileError> {
        Ok(usize::try_from(self.number()?).unwrap_or(usize::MAX))
    }

    fn blend(&mut self) -> Result<Blend, ModelFileError> {
        let mut weight = || self.number().map(f32::from_bits);
        let blend = Blend { pooled: weight()?, spectral: weight()?, lists: weight()? };
        let usable = Some(blend).filter(Blend::is_usable);
        usable.ok_or(ModelFileError::Torn("its weights are none"))
    }

    fn item(&mut self) -> Result<ItemId, ModelFileError> {
        let length = self.take(1)?.first().copied().unwrap_or_default();
        let text = std::str::from_utf8(self.take(length.into())?);
        Ok(ItemId::new(text.map_err(|_| ModelFileError::Torn("an item is not UTF-8"))?)?)
    }

    fn index(&mut self) -> Result<Vec<u8>, ModelFileError> {
        let bytes = self.count()?;
        Ok(self.take(bytes)?.to_vec())
    }

    fn block(&mut self, rows: usize, columns: usize) -> Result<Block, ModelFileError> {
        let bytes = rows.saturating_mul(columns).saturating_mul(VALUE_BYTES);
        let values = self.take(bytes)?.chunks_exact(VALUE_BYTES).map(|value| {
            let mut bytes = [0; VALUE_BYTES];
            bytes.copy_from_slice(value);
            f32::from_le_bytes(bytes)
        });
        Ok(Block::new(rows, columns, values.collect())?)
    }
}
