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
        let entries = taken.into_iter().flat_map(|(by, weight)| {
            let along = lists.of(by).iter();
            along.map(move |&(item, along)| (item, weight * along, by))
        });
        let mut entries: Vec<(u32, f32, u32)> = entries.collect();
        // Stable, so that sums are added up in the order of what was taken: the same bits everywhere.
        entries.sort_by_key(|(item, ..)| *item);
        let said = entries.chunk_by(|a, b| a.0 == b.0).filter_map(sum);
        let said: Vec<Said> = said.filter(|said| said.sum > 0.0 && shown(said.item)).collect();
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

/// One item's entries, added up.
fn sum(entries: &[(u32, f32, u32)]) -> Option<Said> {
    let &(item, most, by) = entries.first()?;
    let first = Said { item, sum: 0.0, most, by };
    Some(entries.iter().fold(first, |said, &(item, share, by)| {
        let (most, by) = if share > said.most { (share, by) } else { (said.most, said.by) };
        Said { item, sum: said.sum + share, most, by }
    }))
}
