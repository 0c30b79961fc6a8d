//! What is held back from learning, so that blends can be judged by it at home.

use super::{Draws, Interactions};

/// Whose items are held back, and how many: drawn, so that every domain holds back the same of the same people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// Where the draws come from.
    pub seed: u64,
    /// Part of the people of whom something is held back, 0 to 1.
    pub people: f64,
    /// Part of their items that is, 0 to 1.
    pub items: f64,
}

/// The draw of whether a person is one of them: a place that no item has.
const PERSON: u64 = u64::MAX;

impl Held {
    /// Whether it is one: parts are parts.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        [self.people, self.items].iter().all(|part| (0.0..=1.0).contains(part))
    }

    /// What of a person's items, ascending, is learned from, and what is held back. Something is always learned from.
    pub(super) fn split(&self, tag: u64, taken: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let draws = Draws::new(self.seed).stream(tag);
        if !draws.happens(PERSON, self.people) {
            return (taken.to_vec(), Vec::new());
        }
        let held = |item: &u32| draws.happens((*item).into(), self.items);
        let (held, kept): (Vec<u32>, Vec<u32>) = taken.iter().copied().partition(held);
        if kept.is_empty() { (held, kept) } else { (kept, held) }
    }

    /// The same people, in the same places, without what is held back.
    pub(super) fn without(&self, people: &Interactions) -> Interactions {
        people.keeping(|tag, taken| self.split(tag, taken).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_not_learned_from_and_somebody_is_left_whole() {
        let mut people = Interactions::new(50);
        for person in 0..200_u32 {
            let taken: Vec<u32> = (0..10).map(|at| (person + at * 3) % 50).collect();
            people.push(&taken, 100).unwrap();
        }
        let held = Held { seed: 3, people: 0.5, items: 0.2 };
        let rest = held.without(&people);
        let (mut touched, mut pairs) = (0, 0);
        for (person, (tag, taken)) in people.tagged().enumerate() {
            let (kept, held) = held.split(tag, taken);
            assert_eq!(rest.row(person), kept);
            assert!(!kept.is_empty() && kept.len() + held.len() == 10);
            assert!(held.iter().all(|item| !kept.contains(item) && taken.contains(item)));
            touched += usize::from(!held.is_empty());
            pairs += held.len();
        }
        assert!((70..110).contains(&touched), "{touched}");
        assert!((150..250).contains(&pairs), "{pairs}");
        let mut one = Interactions::new(50);
        one.push(&[7], 1).unwrap();
        let all = Held { seed: 3, people: 1.0, items: 1.0 };
        assert_eq!(all.without(&one).row(0), [7]);
    }
}
