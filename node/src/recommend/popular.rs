//! Released popularity of a domain, over all its users groups.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::ItemId;
use tokio::time::Instant;

/// A list this old is made anew.
const FRESH: Duration = Duration::from_secs(1);

/// Items with their weight, most popular first.
pub type Released = Arc<Vec<(ItemId, f64)>>;

/// The domain's popular items by `k_min`, made at most once a second each.
#[derive(Default)]
pub struct Popularity {
    lists: Mutex<BTreeMap<u32, (Instant, Released)>>,
}

impl Popularity {
    /// The list for `k_min`; `groups` gives what each users group releases at that `k_min`.
    ///
    /// People live in one group each, so the groups' counts add up, and each group holding back what is
    /// below `k_min` only makes the sum stricter.
    pub fn released(
        &self,
        k_min: u32,
        groups: impl FnOnce() -> Vec<Vec<(ItemId, f64)>>,
    ) -> Released {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match lists.get(&k_min) {
            Some((made, list)) if now.duration_since(*made) < FRESH => list.clone(),
            _ => {
                let list = Arc::new(merge(groups()));
                lists.insert(k_min, (now, Arc::clone(&list)));
                list
            }
        }
    }
}

fn merge(groups: Vec<Vec<(ItemId, f64)>>) -> Vec<(ItemId, f64)> {
    let mut sum: BTreeMap<ItemId, f64> = BTreeMap::new();
    for (item, weight) in groups.into_iter().flatten() {
        *sum.entry(item).or_default() += weight;
    }
    let mut list: Vec<(ItemId, f64)> = sum.into_iter().collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_add_up() {
        let id = |text: &str| ItemId::new(text).unwrap();
        let list = Popularity::default()
            .released(20, || vec![vec![(id("a"), 2.0), (id("b"), 1.5)], vec![(id("b"), 1.0)]]);
        assert_eq!(*list, [(id("b"), 2.5), (id("a"), 2.0)]);
    }
}
