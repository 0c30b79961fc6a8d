//! Item-to-item lists, built at home from the domain's own people. They hold counts of few people and never
//! leave.

use std::ops::Range;

use super::Interactions;

/// How lists are built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ListOptions {
    /// Entries of a list at most.
    pub length_max: usize,
    /// A person with `n` items counts `n^-person_exponent` for each pair of them.
    pub person_exponent: f32,
    /// The weight of a pair falls with both items' degrees to this power.
    pub item_exponent: f32,
    /// Added to the product of the degrees' powers: pairs of rare items prove little.
    pub shrink: f32,
    /// The weight's power.
    pub power: f32,
}

impl Default for ListOptions {
    /// Cosines of the items' sets of people, shrunk, those of people who took much counting less, as measured best on
    /// four public data sets.
    fn default() -> Self {
        Self {
            length_max: 100,
            person_exponent: 0.25,
            item_exponent: 0.5,
            shrink: 20.0,
            power: 1.0,
        }
    }
}

/// For each item those that are taken along with it, heaviest first.
#[derive(Clone, PartialEq)]
pub struct ItemLists {
    starts: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

impl std::fmt::Debug for ItemLists {
    /// Sizes alone: an entry can rest on one person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let items = self.starts.len().saturating_sub(1);
        f.debug_struct("ItemLists")
            .field("items", &items)
            .field("entries", &self.entries.len())
            .finish()
    }
}

/// Who took each item: what lists are counted from.
#[derive(Clone)]
pub struct Takers<'a> {
    people: &'a Interactions,
    starts: Vec<usize>,
    takers: Vec<u32>,
}

impl<'a> Takers<'a> {
    /// Turns people's items round.
    #[must_use]
    pub fn of(people: &'a Interactions) -> Self {
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); people.items()];
        for (person, taken) in people.rows().enumerate() {
            for &item in taken {
                if let Some(list) = lists.get_mut(item as usize) {
                    list.push(person as u32);
                }
            }
        }
        let mut starts = vec![0];
        starts.extend(lists.iter().scan(0, |sum, list| {
            *sum += list.len();
            Some(*sum)
        }));
        Self { people, starts, takers: lists.concat() }
    }

    fn of_item(&self, item: usize) -> &[u32] {
        match (self.starts.get(item), self.starts.get(item.saturating_add(1))) {
            (Some(&start), Some(&end)) => self.takers.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The lists of some items: a piece of work of its own, to be joined by [`ItemLists::join`].
    #[must_use]
    pub fn lists(&self, items: Range<usize>, options: &ListOptions) -> ItemLists {
        let mut sums = vec![0.0_f32; self.people.items()];
        let mut seen: Vec<u32> = Vec::new();
        let mut lists = ItemLists { starts: vec![0], entries: Vec::new() };
        for item in items {
            for &person in self.of_item(item) {
                let taken = self.people.row(person as usize);
                let weight = (taken.len() as f32).powf(-options.person_exponent);
                for &other in taken {
                    if let Some(sum) = sums.get_mut(other as usize) {
                        if *sum == 0.0 {
                            seen.push(other);
                        }
                        *sum += weight;
                    }
                }
            }
            let degree = self.of_item(item).len() as f32;
            let mut list: Vec<(u32, f32)> = Vec::with_capacity(seen.len());
            for other in seen.drain(..) {
                let Some(sum) = sums.get_mut(other as usize) else { continue };
                if other as usize != item {
                    let product = degree * self.of_item(other as usize).len() as f32;
                    let scale = product.powf(options.item_exponent) + options.shrink;
                    list.push((other, (*sum / scale).powf(options.power)));
                }
                *sum = 0.0;
            }
            let heavier = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
            if list.len() > options.length_max {
                list.select_nth_unstable_by(options.length_max, heavier);
                list.truncate(options.length_max);
            }
            list.sort_by(heavier);
            lists.entries.append(&mut list);
            lists.starts.push(lists.entries.len());
        }
        lists
    }
}

impl ItemLists {
    /// Joins lists of neighbouring ranges of items, in order.
    #[must_use]
    pub fn join(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self { starts: vec![0], entries: Vec::new() };
        for mut part in parts {
            let base = all.entries.len();
            all.starts.extend(part.starts.iter().skip(1).map(|start| base + start));
            all.entries.append(&mut part.entries);
        }
        all
    }

    /// The same weights, found from the other side: with an item stand those in whose lists it was. A list
    /// then keeps what is nearest to each item that may be recommended, not to each that was taken.
    #[must_use]
    pub fn turned(&self) -> Self {
        let items = self.starts.len().saturating_sub(1);
        let mut lists: Vec<Vec<(u32, f32)>> = vec![Vec::new(); items];
        for item in 0..items as u32 {
            for &(other, weight) in self.of(item) {
                if let Some(list) = lists.get_mut(other as usize) {
                    list.push((item, weight));
                }
            }
        }
        Self::join(lists.into_iter().map(|mut entries| {
            entries.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            Self { starts: vec![0, entries.len()], entries }
        }))
    }

    /// For every item of a catalogue of `items`, the sum over what was taken of its weight there.
    #[must_use]
    pub fn scores(&self, items: usize, taken: &[u32]) -> Vec<f32> {
        let mut scores = vec![0.0; items];
        for (other, weight) in taken.iter().flat_map(|&item| self.of(item)) {
            if let Some(score) = scores.get_mut(*other as usize) {
                *score += weight;
            }
        }
        scores
    }

    /// Items of the catalogue.
    pub(super) fn items(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// What is taken along with an item, heaviest first; nothing for an item outside.
    #[must_use]
    pub fn of(&self, item: u32) -> &[(u32, f32)] {
        match (self.starts.get(item as usize), self.starts.get(item as usize + 1)) {
            (Some(&start), Some(&end)) => self.entries.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }
}
