//! A column of keywords as a file has it: a dictionary, and of each keyword the slots that have it.
//!
//! Little-endian: of each keyword where its text ends and where its set ends; the texts, in the order of their
//! bytes; the sets, in Roaring's portable form. A set is read when it is first asked for, and kept.

use std::sync::OnceLock;

use roaring::RoaringBitmap;

use crate::attributes::KEYWORD_BYTES_MAX;
use crate::bytes::unusable;
use crate::error::AnnError;
use crate::piece::Piece;

/// Bytes of two ends.
const ENDS_BYTES: usize = 16;

/// A column of keywords.
#[derive(Debug)]
pub(crate) struct Keywords {
    ends: Piece,
    texts: Piece,
    stored: Piece,
    slots: usize,
    sets: Box<[OnceLock<RoaringBitmap>]>,
}

impl Keywords {
    /// The column that `body` is, with so many keywords, over so many slots; none if that contradicts itself.
    /// Texts and sets are not looked at.
    pub(crate) fn of(body: &Piece, count: usize, slots: usize) -> Option<Self> {
        let (ends, rest) = body.split(count.checked_mul(ENDS_BYTES)?)?;
        let (text_end, _) = last_ends(&ends)?;
        let (texts, stored) = rest.split(text_end)?;
        let column = Self { ends, texts, stored, slots, sets: new_sets(count) };
        column.ends_rise().then_some(column)
    }

    /// Keywords there are.
    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    fn ends_rise(&self) -> bool {
        let mut before = (0, 0);
        let each = (0..self.len()).all(|at| {
            let ends = ends_at(&self.ends, at);
            let rises = before.0 <= ends.0 && before.1 <= ends.1;
            before = ends;
            rises
        });
        each && before == (self.texts.len(), self.stored.len())
    }

    /// Where its text and its set begin and end.
    fn bounds(&self, at: usize) -> ((usize, usize), (usize, usize)) {
        let from = at.checked_sub(1).map_or((0, 0), |before| ends_at(&self.ends, before));
        let to = ends_at(&self.ends, at);
        ((from.0, to.0), (from.1, to.1))
    }

    /// The keyword numbered `at`.
    pub(crate) fn text(&self, at: usize) -> &[u8] {
        let ((from, to), _) = self.bounds(at);
        self.texts.get(from..to).unwrap_or_default()
    }

    /// The slots that have a keyword; none if there is no such.
    pub(crate) fn find(&self, keyword: &str) -> Result<Option<&RoaringBitmap>, AnnError> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.text(middle).cmp(keyword.as_bytes()) {
                std::cmp::Ordering::Equal => return self.set(middle).map(Some),
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        Ok(None)
    }

    /// The slots that have the keyword numbered `at`, kept from now on.
    pub(crate) fn set(&self, at: usize) -> Result<&RoaringBitmap, AnnError> {
        let place = self.sets.get(at).ok_or_else(damaged)?;
        match place.get() {
            Some(set) => Ok(set),
            None => {
                let set = self.read(at)?;
                Ok(place.get_or_init(|| set))
            }
        }
    }

    /// The same, read anew.
    pub(crate) fn read(&self, at: usize) -> Result<RoaringBitmap, AnnError> {
        let (_, (from, to)) = self.bounds(at);
        let mut stored = self.stored.get(from..to).unwrap_or_default();
        let set = RoaringBitmap::deserialize_from(&mut stored).map_err(|_| damaged())?;
        let within = set.max().is_some_and(|last| (last as usize) < self.slots);
        (within && stored.is_empty()).then_some(set).ok_or_else(damaged)
    }

    /// Whether texts are such as are taken, each greater than the one before, and sets can be read.
    pub(crate) fn check(&self) -> Result<(), AnnError> {
        let mut before: Option<&[u8]> = None;
        for at in 0..self.len() {
            let text = self.text(at);
            let fits = text.len() <= KEYWORD_BYTES_MAX && std::str::from_utf8(text).is_ok();
            if !fits || before.is_some_and(|before| before >= text) {
                return Err(unusable("its keywords are none"));
            }
            before = Some(text);
            self.read(at)?;
        }
        Ok(())
    }
}

/// The bytes of a column of such keywords, in the order of their bytes, each with rising slots.
pub(crate) fn encode<'a>(
    keywords: impl Iterator<Item = (&'a str, &'a [u32])>,
) -> std::io::Result<Vec<u8>> {
    let (mut ends, mut texts, mut stored) = (Vec::new(), Vec::new(), Vec::new());
    for (keyword, slots) in keywords {
        texts.extend_from_slice(keyword.as_bytes());
        let set = RoaringBitmap::from_sorted_iter(slots.iter().copied());
        set.map_err(std::io::Error::other)?.serialize_into(&mut stored)?;
        ends.extend((texts.len() as u64).to_le_bytes());
        ends.extend((stored.len() as u64).to_le_bytes());
    }
    Ok([ends, texts, stored].concat())
}

fn new_sets(count: usize) -> Box<[OnceLock<RoaringBitmap>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

/// Where the text and the set numbered `at` end.
fn ends_at(ends: &[u8], at: usize) -> (usize, usize) {
    let number = |from: usize| {
        let bytes = ends.get(from..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| usize::try_from(u64::from_le_bytes(*bytes)).unwrap_or(usize::MAX))
    };
    (number(at * ENDS_BYTES), number(at * ENDS_BYTES + ENDS_BYTES / 2))
}

fn last_ends(ends: &[u8]) -> Option<(usize, usize)> {
    match (ends.len() / ENDS_BYTES).checked_sub(1) {
        Some(last) => Some(ends_at(ends, last)),
        None => Some((0, 0)),
    }
}

fn damaged() -> AnnError {
    unusable("a keyword's rows are damaged")
}
