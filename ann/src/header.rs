//! The head of a file of version 4 or 5: what the index is of, and where in the file each of its tables lies.
//!
//! Little-endian: magic, version; bytes of the head; the caller's stamp; the model's name, dimensions, metric;
//! nodes, bytes of a node's links; the coder's five numbers; the ten of the spread, the two of the costs; marks;
//! the tuned `ef`, 0 if none; of each section offset, length and CRC-32; the CRC-32 of all before.
//!
//! Sections follow in the order of [`Part`], each on a cache line, those of a page or more on a page, with zeros
//! in between: so where each lies follows from their lengths, and a file that says otherwise is refused.

use crate::bytes::{Sink, Spring, unusable};
use crate::codes::Fit;
use crate::error::AnnError;
use crate::space::{Metric, Space};

/// What a file of an index begins with.
pub(crate) const MAGIC: [u8; 8] = *b"bailiann";
/// The first version of flat files.
pub(crate) const FLAT_FIRST: u32 = 4;
/// Their last: the one that is written.
pub(crate) const FLAT: u32 = 5;
/// Sections of the first, which had no columns.
const FIRST_PARTS: usize = 10;
/// Bytes of magic and version.
pub(crate) const START: usize = 12;
/// Bytes of magic, version, and the head's own length.
const START_BYTES: usize = START + 4;
/// Bytes of the longest model name that is read.
const MODEL_BYTES_MAX: usize = 1 << 12;
/// Bytes of the longest head.
const HEAD_BYTES_MAX: usize = 2 * MODEL_BYTES_MAX;
/// Bytes of a CRC-32.
const CRC_BYTES: usize = 4;
/// Bytes of a cache line, and of a page, at whose multiples sections begin.
const LINE: u64 = 64;
const PAGE: u64 = 4096;

/// `marks` of an index whose codes are too coarse to be searched by.
const COARSE: u32 = 1;
/// `marks` of an index whose vectors are kept in twelve bits a value.
const ROUNDED: u32 = 2;

/// The sections of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Codes of the nodes.
    Codes,
    /// Links of the nodes.
    Links,
    /// Vectors of the nodes: `f32` values, or the four bits that codes leave over.
    Vectors,
    /// Rows in node order.
    Rows,
    /// Where each node's rows begin; empty where each has just one.
    Bounds,
    /// The slot of each row; empty where rows are sparse.
    Places,
    /// Rows of the frozen generation that are dead.
    Dead,
    /// Rows that are not in the frozen generation.
    FreshRows,
    /// Their vectors.
    FreshVectors,
    /// The caller's note.
    Note,
    /// Columns of the frozen generation, by slots.
    Columns,
    /// Columns of the fresh rows, by their order.
    FreshColumns,
}

impl Part {
    /// All of them, as they follow each other.
    pub(crate) const ALL: [Self; 12] = [
        Self::Codes,
        Self::Links,
        Self::Vectors,
        Self::Rows,
        Self::Bounds,
        Self::Places,
        Self::Dead,
        Self::FreshRows,
        Self::FreshVectors,
        Self::Note,
        Self::Columns,
        Self::FreshColumns,
    ];
}

/// Where a section lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// Bytes of the file before it.
    pub(crate) offset: u64,
    /// Its bytes.
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

/// What the head says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) stamp: u64,
    pub(crate) space: Space,
    pub(crate) nodes: u64,
    /// Bytes of a node's links.
    pub(crate) stride: u32,
    pub(crate) fit: Fit,
    pub(crate) spread: [f32; crate::spread::RANKS],
    pub(crate) costs: [f32; 2],
    pub(crate) coarse: bool,
    /// Whether vectors are what their codes leave over.
    pub(crate) rounded: bool,
    pub(crate) ef: u32,
    /// As in [`Part::ALL`].
    pub(crate) sections: [Section; Part::ALL.len()],
}

impl Header {
    pub(crate) fn section(&self, part: Part) -> Section {
        self.sections.get(part as usize).copied().unwrap_or_default()
    }

    /// The sections that a file of its version has.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let count = if self.version == FLAT_FIRST { FIRST_PARTS } else { Part::ALL.len() };
        Part::ALL.into_iter().take(count)
    }

    /// Gives each section its place, by the lengths of all. Where the last one ends.
    pub(crate) fn lay_out(&mut self) -> std::io::Result<u64> {
        let mut end = self.encode()?.len() as u64;
        let parts = self.parts();
        for (section, _) in self.sections.iter_mut().zip(parts) {
            let step = if section.bytes < PAGE { LINE } else { PAGE };
            section.offset = end.checked_next_multiple_of(step).unwrap_or(u64::MAX);
            end = section.offset.saturating_add(section.bytes);
        }
        Ok(end)
    }

    /// Its bytes.
    pub(crate) fn encode(&self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut sink = Sink::new(&mut body);
        sink.u64(self.stamp)?;
        sink.u32(u32::try_from(self.space.model.len()).unwrap_or(u32::MAX))?;
        sink.bytes(self.space.model.as_bytes())?;
        sink.u32(u32::try_from(self.space.dimensions).unwrap_or(u32::MAX))?;
        sink.u32(number_of(self.space.metric))?;
        sink.u64(self.nodes)?;
        sink.u32(self.stride)?;
        let Fit { scale, longest, parts, weight, middle } = self.fit;
        sink.u32(parts)?;
        sink.f32s(&[scale, longest, weight, middle])?;
        sink.f32s(&self.spread)?;
        sink.f32s(&self.costs)?;
        sink.u32(u32::from(self.coarse) * COARSE + u32::from(self.rounded) * ROUNDED)?;
        sink.u32(self.ef)?;
        for (section, _) in self.sections.iter().zip(self.parts()) {
            sink.u64(section.offset)?;
            sink.u64(section.bytes)?;
            sink.u32(section.crc)?;
        }
        let length = START_BYTES + body.len() + CRC_BYTES;
        let mut head = MAGIC.to_vec();
        head.extend(self.version.to_le_bytes());
        head.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        head.extend(body);
        head.extend(crc32fast::hash(&head).to_le_bytes());
        Ok(head)
    }

    /// The head of a file of `content` bytes before its hash; what those after the head are is not looked at.
    pub(crate) fn decode(content: &[u8]) -> Result<Self, AnnError> {
        let damaged = || unusable("its head is damaged");
        let (start, _) = content.split_first_chunk::<START_BYTES>().ok_or_else(damaged)?;
        let [.., v, w, x, y, a, b, c, d] = *start;
        let version = u32::from_le_bytes([v, w, x, y]);
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let head =
            content.get(..length).filter(|_| length <= HEAD_BYTES_MAX).ok_or_else(damaged)?;
        let (said, crc) = head.split_last_chunk::<CRC_BYTES>().ok_or_else(damaged)?;
        if crc32fast::hash(said) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        let body = said.get(START_BYTES..).ok_or_else(damaged)?;
        let mut spring = Spring::part(body, body.len() as u64);
        let mut header = spring.header(version)?;
        if !spring.is_dry() {
            return Err(damaged());
        }
        let said = header.sections;
        let end = header.lay_out().map_err(|_| damaged())?;
        if header.sections != said || end != content.len() as u64 {
            return Err(unusable("its sections are not where they belong"));
        }
        Ok(header)
    }
}

impl Spring<&[u8]> {
    fn header(&mut self, version: u32) -> Result<Header, AnnError> {
        let stamp = self.u64()?;
        let space = self.space()?;
        let (nodes, stride, parts) = (self.u64()?, self.u32()?, self.u32()?);
        let [scale, longest, weight, middle] = self.f32_array()?;
        let fit = Fit { scale, longest, parts, weight, middle };
        let (spread, costs) = (self.f32_array()?, self.f32_array()?);
        let marks = self.u32()?;
        if marks & !(COARSE | ROUNDED) != 0 {
            return Err(unusable("it has marks that are unknown"));
        }
        let (coarse, rounded) = (marks & COARSE != 0, marks & ROUNDED != 0);
        let ef = self.u32()?;
        let mut header = Header {
            version,
            stamp,
            space,
            nodes,
            stride,
            fit,
            spread,
            costs,
            coarse,
            rounded,
            ef,
            sections: Default::default(),
        };
        let parts = header.parts();
        for (section, _) in header.sections.iter_mut().zip(parts) {
            *section = Section { offset: self.u64()?, bytes: self.u64()?, crc: self.u32()? };
        }
        Ok(header)
    }
}

fn number_of(metric: Metric) -> u32 {
    match metric {
        Metric::Cosine => 0,
        Metric::InnerProduct => 1,
        Metric::L2 => 2,
    }
}

impl<R: std::io::Read> Spring<R> {
    /// The space that a file is of.
    pub(crate) fn space(&mut self) -> Result<Space, AnnError> {
        let length = self.u32()? as usize;
        if length > MODEL_BYTES_MAX {
            return Err(unusable("the model's name is too long"));
        }
        let model = self.text(length)?;
        let dimensions = self.u32()? as usize;
        let metric = match self.u32()? {
            0 => Metric::Cosine,
            1 => Metric::InnerProduct,
            2 => Metric::L2,
            _ => return Err(unusable("its metric is unknown")),
        };
        Space::new(model, dimensions, metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(lengths: [u64; Part::ALL.len()]) -> Header {
        Header {
            version: FLAT,
            stamp: 7,
            space: Space::new("m1", 3, Metric::L2).unwrap(),
            nodes: 9,
            stride: 64,
            fit: Fit { scale: 3.0, longest: 2.0, parts: 1, weight: 0.5, middle: 4.0 },
            spread: std::array::from_fn(|rank| rank as f32),
            costs: [f32::INFINITY, 1.0],
            coarse: true,
            rounded: false,
            ef: 40,
            sections: lengths.map(|bytes| Section { bytes, ..Section::default() }),
        }
    }

    #[test]
    fn sections_lie_on_lines_and_pages_and_nowhere_else() {
        let mut header = header([5000, 0, 10, 4096, 70, 64, 0, 0, 0, 3, 0, 0]);
        let end = header.lay_out().unwrap();
        let offsets = header.sections.map(|section| section.offset);
        assert_eq!(offsets[0], 4096);
        assert_eq!(offsets[1..4], [9152, 9152, 12_288]);
        assert_eq!(offsets[4..], [16_384, 16_512, 16_576, 16_576, 16_576, 16_576, 16_640, 16_640]);
        assert_eq!(end, 16_640);
        let mut content = header.encode().unwrap();
        content.resize(usize::try_from(end).unwrap(), 0);
        assert_eq!(Header::decode(&content).unwrap(), header);
        assert!(Header::decode(&content[..content.len() - 1]).is_err());
        content.push(0);
        assert!(Header::decode(&content).is_err());
        header.sections[3].offset += 4096;
        let moved = [header.encode().unwrap(), content[1000..].to_vec()].concat();
        assert!(Header::decode(&moved).is_err());
    }
}
