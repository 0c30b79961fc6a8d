//! The catalogue as a sweep composes slates of it, with stand-ins for what a public split does not say.
//!
//! A split has people and items alone. One item of four stands in for the local ones. What likeness says of items
//! stands in for their categories and creators: those whose learned vectors have the same signs in the first three
//! values are of one category, those alike in eight by one creator. An item's number stands in for its age.

use bailiwick_core::ids::{ItemId, UnixMillis};
use bailiwick_core::learning::PooledModel;
use bailiwick_core::ranking::{ItemFacts, Mix, Row, Shelf};

use super::metrics::mean;

/// One item of so many stands in for the local ones.
pub(super) const LOCAL_EVERY: usize = 4;
pub(super) const PLACE: &str = "ZZ";
/// Values whose signs tell a category, and a creator.
const CATEGORY_VALUES: usize = 3;
const CREATOR_VALUES: usize = 8;

/// What is said with figures that rest on stand-ins.
pub(super) const SAID: &str = "signs of 3 and of 8 values of the learned vectors stand in for categories \
                               and creators, numbers for ages";

/// The catalogue as slates are composed of it.
pub(super) struct Stand<'a> {
    facts: Vec<Option<ItemFacts>>,
    model: &'a PooledModel,
}

impl Shelf for Stand<'_> {
    fn facts(&self, row: Row) -> Option<&ItemFacts> {
        self.facts.get(row as usize)?.as_ref()
    }

    fn vector(&self, row: Row) -> Option<&[f32]> {
        self.model.direction(row)
    }
}

impl<'a> Stand<'a> {
    pub(super) fn of(model: &'a PooledModel, items: usize) -> Self {
        Self { facts: (0..items).map(|item| stand_in(model, item)).collect(), model }
    }

    pub(super) fn local_share(&self, rows: &[Row]) -> f64 {
        mean(rows.iter().map(|row| f64::from(u8::from(is_local(*row as usize)))))
    }

    /// The mix of categories of a history.
    pub(super) fn taste(&self, taken: &[u32]) -> Mix {
        Mix::of(self, taken.iter().map(|row| (*row, 1.0)))
    }

    /// The moment from which ages are told: the last item is new then, and one a half older by half the catalogue.
    pub(super) fn now(&self) -> UnixMillis {
        UnixMillis(i64::try_from(self.facts.len()).unwrap_or(i64::MAX))
    }

    /// The share of a slate that its most frequent creator has.
    pub(super) fn creator_share(&self, rows: &[Row]) -> f64 {
        let creator = |row: &Row| self.facts(*row).and_then(|facts| facts.creator.as_deref());
        let items = |row: &Row| rows.iter().filter(|other| creator(other) == creator(row)).count();
        let most = rows.iter().filter(|row| creator(row).is_some()).map(items).max();
        most.unwrap_or_default() as f64 / rows.len().max(1) as f64
    }

    /// The mean age of a slate's items, as a part of the oldest age.
    pub(super) fn age(&self, rows: &[Row]) -> f64 {
        let items = self.facts.len().max(1) as f64;
        mean(rows.iter().map(|row| 1.0 - f64::from(*row) / items))
    }
}

fn stand_in(model: &PooledModel, number: usize) -> Option<ItemFacts> {
    let id = ItemId::new(number.to_string()).ok()?;
    let origin = is_local(number).then(|| PLACE.to_owned());
    let signs = |values: usize| {
        let vector = model.targets().row(number).unwrap_or_default().iter().take(values);
        // What the model learned nothing of is of no kind.
        let known = vector.clone().any(|value| *value != 0.0);
        known.then(|| vector.map(|value| if *value < 0.0 { '-' } else { '+' }).collect::<String>())
    };
    Some(ItemFacts {
        origin,
        category: signs(CATEGORY_VALUES).into_iter().collect(),
        creator: signs(CREATOR_VALUES),
        published: i64::try_from(number).ok().map(UnixMillis),
        ..ItemFacts::new(id)
    })
}

pub(super) fn is_local(item: usize) -> bool {
    item.is_multiple_of(LOCAL_EVERY)
}
