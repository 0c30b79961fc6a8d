//! A predicate looked up in the columns of one generation: keywords become sets of slots, by the algebra of sets;
//! a range of numbers becomes one too where few have such a number, and is asked slot by slot where many have.

use std::borrow::Cow;

use roaring::{MultiOps as _, RoaringBitmap};

use crate::attributes::Attributes;
use crate::bitmap::Bitmap;
use crate::columns::{Column, Columns};
use crate::error::AnnError;
use crate::filter::Filter;
use crate::find::{Ask, Found, Matches};
use crate::live::{LiveIndex, State};
use crate::numbers::Numbers;
use crate::predicate::Predicate;

/// Where at most one slot in so many has a number of a range their set is made.
const LISTED_SHARE: usize = 64;
/// Up to so many slots it is made where one in so many has such a number.
const LISTED_MAX: usize = 1 << 14;
const LISTED_SHARE_MAX: usize = 4;
/// Where at most one slot in so many does, they are sorted rather than marked among all.
const SORTED_SHARE: usize = 512;

/// A predicate, in terms of slots.
pub(crate) enum Picked<'a> {
    /// These slots.
    Set(Cow<'a, RoaringBitmap>),
    /// Those with a number of this range.
    Range(&'a Numbers, i64, i64),
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
}

impl Picked<'_> {
    fn accepts(&self, slot: u32) -> bool {
        match self {
            Self::Set(set) => set.contains(slot),
            Self::Range(numbers, least, most) => {
                numbers.get(slot).is_some_and(|number| (*least..=*most).contains(&number))
            }
            Self::And(parts) => parts.iter().all(|part| part.accepts(slot)),
            Self::Or(parts) => parts.iter().any(|part| part.accepts(slot)),
            Self::Not(part) => !part.accepts(slot),
        }
    }

    /// A set that has all slots it accepts, if one is at hand.
    fn within(&self) -> Option<&RoaringBitmap> {
        match self {
            Self::Set(set) => Some(set),
            Self::And(parts) => parts.iter().find_map(Self::within),
            Self::Range(..) | Self::Or(_) | Self::Not(_) => None,
        }
    }
}

impl Columns {
    /// What a predicate picks. Columns that are not there have no value.
    pub(crate) fn pick(&self, predicate: &Predicate) -> Result<Picked<'_>, AnnError> {
        Ok(match predicate {
            Predicate::And(parts) => self.all(self.each_of(parts)?),
            Predicate::Or(parts) => any(self.each_of(parts)?),
            Predicate::Not(part) => match self.pick(part)? {
                Picked::Set(set) => Picked::Set(Cow::Owned(self.every_slot() - set.as_ref())),
                other => Picked::Not(Box::new(other)),
            },
            Predicate::Is { column, keyword } => Picked::Set(self.having(column, keyword)?),
            Predicate::In { column, keywords } => {
                let sets = keywords.iter().map(|keyword| self.having(column, keyword));
                let sets: Vec<_> = sets.collect::<Result<_, _>>()?;
                Picked::Set(Cow::Owned(sets.iter().map(AsRef::as_ref).union()))
            }
            Predicate::AtLeast { column, number } => self.range(column, *number, i64::MAX),
            Predicate::AtMost { column, number } => self.range(column, i64::MIN, *number),
            Predicate::Between { column, least, most } => self.range(column, *least, *most),
        })
    }

    fn each_of(&self, parts: &[Predicate]) -> Result<Vec<Picked<'_>>, AnnError> {
        parts.iter().map(|part| self.pick(part)).collect()
    }

    fn every_slot(&self) -> RoaringBitmap {
        let mut every = RoaringBitmap::new();
        every.insert_range(0..u32::try_from(self.slots()).unwrap_or(u32::MAX));
        every
    }

    fn having(&self, column: &str, keyword: &str) -> Result<Cow<'_, RoaringBitmap>, AnnError> {
        let found = match self.get(column) {
            Some(Column::Keywords(keywords)) => keywords.find(keyword)?,
            Some(Column::Numbers(_)) | None => None,
        };
        Ok(found.map_or_else(|| Cow::Owned(RoaringBitmap::new()), Cow::Borrowed))
    }

    fn range(&self, column: &str, least: i64, most: i64) -> Picked<'_> {
        let Some(Column::Numbers(numbers)) = self.get(column) else {
            return Picked::Set(Cow::Owned(RoaringBitmap::new()));
        };
        let count = numbers.count(least, most);
        let listed = LISTED_MAX.min(self.slots() / LISTED_SHARE_MAX);
        if count > listed.max(self.slots() / LISTED_SHARE) {
            return Picked::Range(numbers, least, most);
        }
        let slots = numbers.slots(least, most);
        let few = count <= self.slots() / SORTED_SHARE;
        Picked::Set(Cow::Owned(if few { sorted(slots) } else { marked(slots, self.slots()) }))
    }

    /// What all of these pick: their sets become one.
    fn all<'a>(&self, parts: Vec<Picked<'a>>) -> Picked<'a> {
        let (sets, mut others) = sets_of(parts);
        if sets.is_empty() && !others.is_empty() {
            return Picked::And(others);
        }
        let set = match sets.as_slice() {
            [] => self.every_slot(),
            [a, b] => a.as_ref() & b.as_ref(),
            sets => sets.iter().map(AsRef::as_ref).intersection(),
        };
        if others.is_empty() || set.is_empty() {
            return Picked::Set(Cow::Owned(set));
        }
        others.insert(0, Picked::Set(Cow::Owned(set)));
        Picked::And(others)
    }
}

fn sorted(slots: impl Iterator<Item = u32>) -> RoaringBitmap {
    let mut slots: Vec<u32> = slots.collect();
    slots.sort_unstable();
    slots.into_iter().collect()
}

fn marked(slots: impl Iterator<Item = u32>, count: usize) -> RoaringBitmap {
    let mut bits = vec![0_u8; count.div_ceil(8)];
    for slot in slots {
        bits.get_mut((slot >> 3) as usize).into_iter().for_each(|bits| *bits |= 1 << (slot & 7));
    }
    RoaringBitmap::from_lsb0_bytes(0, &bits)
}

/// What some of these pick: their sets become one.
fn any(parts: Vec<Picked<'_>>) -> Picked<'_> {
    let (sets, mut others) = sets_of(parts);
    let set = Picked::Set(Cow::Owned(sets.iter().map(AsRef::as_ref).union()));
    if others.is_empty() {
        return set;
    }
    others.insert(0, set);
    Picked::Or(others)
}

fn sets_of(parts: Vec<Picked<'_>>) -> (Vec<Cow<'_, RoaringBitmap>>, Vec<Picked<'_>>) {
    let (mut sets, mut others) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Picked::Set(set) => sets.push(set),
            other => others.push(other),
        }
    }
    (sets, others)
}

impl State {
    /// What the filter's predicate picks of the generation, if it has one.
    pub(crate) fn pick(&self, filter: &Filter<'_>) -> Result<Option<Picked<'_>>, AnnError> {
        let Filter::Matching(predicate) = filter else { return Ok(None) };
        predicate.check(&self.kinds)?;
        self.generation.frozen.columns.pick(predicate).map(Some)
    }

    /// What the generation holds for each of the queries among what is picked.
    pub(crate) fn search_among(
        &self,
        ask: Ask<'_>,
        queries: &[&[f32]],
        picked: &Picked<'_>,
    ) -> Vec<Found> {
        let (generation, frozen) = (&*self.generation, &self.generation.frozen);
        let accepts = |slot: u32| generation.spares(slot, self.now) && picked.accepts(slot);
        let matches = match picked {
            Picked::Set(set) => Matches::Slots(set),
            other => other.within().map_or(Matches::Unknown, Matches::Among),
        };
        frozen.find_all(ask, queries, matches, &accepts)
    }

    fn matching(&self, predicate: &Predicate) -> Result<Bitmap, AnnError> {
        predicate.check(&self.kinds)?;
        let frozen = &self.generation.frozen;
        let picked = frozen.columns.pick(predicate)?;
        let alive = |slot: &u32| self.generation.spares(*slot, self.now);
        let row = |slot: u32| frozen.slots.row(slot);
        let mut rows: Bitmap = match picked.within() {
            Some(set) => {
                set.iter().filter(|s| picked.accepts(*s)).filter(alive).filter_map(row).collect()
            }
            None => {
                let slots = (0u32..).take(frozen.slots.len());
                slots.filter(|s| picked.accepts(*s)).filter(alive).filter_map(row).collect()
            }
        };
        let fresh = self.segment.live(0, self.now);
        let matching =
            fresh.filter(|entry| accepts(predicate, entry.attributes.map(AsRef::as_ref)));
        matching.for_each(|entry| rows.insert(entry.row));
        Ok(rows)
    }
}

/// Whether a predicate holds of a row with these attributes, or with none.
pub(crate) fn accepts(predicate: &Predicate, attributes: Option<&Attributes>) -> bool {
    match attributes {
        Some(attributes) => predicate.accepts(attributes),
        None => predicate.accepts(&Attributes::new()),
    }
}

impl LiveIndex {
    /// The live rows that a predicate holds of.
    ///
    /// # Errors
    /// [`AnnError::Column`] for a column that is not there or of another kind, [`AnnError::Predicate`] for a
    /// predicate that is too large.
    pub fn matching(&self, predicate: &Predicate) -> Result<Bitmap, AnnError> {
        self.state.load_full().matching(predicate)
    }

    /// What is known of a live row besides its vector; none if there is no such row. Every keyword of the index is
    /// looked at.
    ///
    /// # Errors
    /// [`AnnError::File`] where a mapped file was forged.
    pub fn attributes(&self, row: crate::space::Row) -> Result<Option<Attributes>, AnnError> {
        let state = self.state.load_full();
        if let Some(entry) = state.segment.entry(row, state.now) {
            return Ok(Some(
                entry.attributes.map_or_else(Attributes::new, |a| Attributes::clone(a)),
            ));
        }
        let slot = state.live_slot(row);
        slot.map(|slot| state.generation.frozen.columns.row(slot)).transpose()
    }
}
