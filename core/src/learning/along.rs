//! What is taken along with what somebody took, by the lists of their home.

use super::ItemLists;

/// The sum of what the lists say of every item in them, ascending by item. No `Debug`: it is personal.
#[derive(Clone, PartialEq, Default)]
pub struct Along {
    said: Vec<Said>,
    greatest: f32,
}

/// What is said of one item, and the item taken that says most of it.
#[derive(Clone, Copy, PartialEq)]
struct Said {
    item: u32,
    sum: f32,
    most: f32,
    by: u32,
}

impl Along {
    /// Adds up the lists of weighted items. `shown` tells what may be shown: the rest is no measure for it.
    #[must_use]
    pub fn of(
        lists: &ItemLists,
        taken: impl IntoIterator<Item = (u32, f32)>,
        shown: impl Fn(u32) -> bool,
    ) -> Self {
        // By item, its place among what is said: lists of popular items are long, and sorting all entries would take
        // longer than the rest of a recommendation.
        let mut places = vec![NOWHERE; lists.items()];
        let mut said: Vec<Said> = Vec::new();
        for (by, weight) in taken {
            for &(item, along) in lists.of(by) {
                let Some(place) = places.get_mut(item as usize) else { continue };
                // Added up in the order of what was taken: the same bits everywhere.
                match said.get_mut(*place) {
                    Some(said) => said.add(weight * along, by),
                    None => {
                        *place = said.len();
                        said.push(Said::new(item, weight * along, by));
                    }
                }
            }
        }
        said.retain(|said| said.sum > 0.0 && shown(said.item));
        said.sort_unstable_by_key(|said| said.item);
        let greatest = said.iter().map(|said| said.sum).fold(0.0, f32::max);
        Self { said, greatest }
    }

    /// What is said of an item over the most that is said of any, 0 to 1.
    #[must_use]
    pub fn score(&self, item: u32) -> f32 {
        self.find(item).map_or(0.0, |said| said.sum / self.greatest)
    }

    /// The item taken that says most of an item; none where nothing is said.
    #[must_use]
    pub fn carried_by(&self, item: u32) -> Option<u32> {
        self.find(item).map(|said| said.by)
    }

    /// The items of which something is said, the most first, each with its score.
    #[must_use]
    pub fn best(&self, most: usize) -> Vec<(u32, f32)> {
        let mut best: Vec<(u32, f32)> =
            self.said.iter().map(|said| (said.item, said.sum / self.greatest)).collect();
        let better = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if best.len() > most {
            best.select_nth_unstable_by(most, better);
            best.truncate(most);
        }
        best.sort_by(better);
        best
    }

    /// All of which something is said, ascending by item, each with its score.
    pub fn scores(&self) -> impl Iterator<Item = (u32, f32)> {
        self.said.iter().map(|said| (said.item, said.sum / self.greatest))
    }

    fn find(&self, item: u32) -> Option<&Said> {
        let at = self.said.binary_search_by_key(&item, |said| said.item).ok()?;
        self.said.get(at)
    }
}

/// No place.
const NOWHERE: usize = usize::MAX;

impl Said {
    fn new(item: u32, share: f32, by: u32) -> Self {
        Self { item, sum: share, most: share, by }
    }

    fn add(&mut self, share: f32, by: u32) {
        self.sum += share;
        if share > self.most {
            (self.most, self.by) = (share, by);
        }
    }
}
