//! What the rounds of a run are for, in which order, and what is held back until blends are judged.

use super::{Census, Draws, Held, Task, TrainingOptions};

/// Rounds from which on a run learns more than the contrastive form.
pub const TASKS_FROM: u32 = 40;
/// Rounds of the spectral part without what is held back, from a first block; and with it, from what was found.
const SPECTRUM_FIRST: u32 = 4;
const SPECTRUM_LAST: u32 = 2;
/// People by whom blends are judged, roughly, where there are so many, and the part of all that they are at most.
const JUDGES: f64 = 8000.0;
const JUDGES_PART_MAX: f64 = 0.5;
/// Part of their items that is held back until then.
const HELD_ITEMS: f64 = 0.1;
/// Names the draws of what is held back.
const HELD: u64 = u64::MAX;
/// Of four rounds of the contrastive form so many go before the blend is judged, without what is held back; the rest
/// learn from all there is. The later, the more the vectors are those that will be served. But what comes late is
/// learned by small steps: where more than [`HELD_LITTLE`] of all there is is held back, judging is earlier.
const BEFORE_JUDGING: u32 = 3;
const BEFORE_JUDGING_OF_FEW: u32 = 2;
const HELD_LITTLE: f64 = 0.02;

/// What the rounds of a run are for: contrastive ones, then the spectral part and the judging, then the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    rounds: u32,
    /// The round where the spectral part begins; none where there is none.
    spectrum: Option<u32>,
    held: Held,
}

impl Plan {
    /// The plan of a run that begins with so many people.
    pub(super) fn of(options: &TrainingOptions, census: Census) -> Self {
        let tasks = SPECTRUM_FIRST + 1 + SPECTRUM_LAST;
        let contrastive = options.rounds.saturating_sub(tasks);
        let all =
            options.rounds >= TASKS_FROM && options.budget.is_none() && options.dimensions > 1;
        let held = held(options.seed, census);
        let before = match held.people * held.items > HELD_LITTLE {
            true => BEFORE_JUDGING_OF_FEW,
            false => BEFORE_JUDGING,
        };
        Self { rounds: options.rounds, spectrum: all.then(|| contrastive / 4 * before), held }
    }

    /// What round `done` is for.
    pub(super) fn task(&self, done: u32) -> Task {
        let Some(since) = self.spectrum.and_then(|start| done.checked_sub(start)) else {
            return Task::Contrast;
        };
        match since {
            0..SPECTRUM_FIRST => Task::Spectrum,
            SPECTRUM_FIRST => Task::Judging,
            _ if since <= SPECTRUM_FIRST + SPECTRUM_LAST => Task::Spectrum,
            _ => Task::Contrast,
        }
    }

    /// Whether there is a spectral part after so many rounds.
    pub(super) fn has_spectrum(&self, done: u32) -> bool {
        self.spectrum.is_some_and(|start| done > start)
    }

    /// Whether the blend was judged by then.
    pub(super) fn has_judged(&self, done: u32) -> bool {
        self.spectrum.is_some_and(|start| done > start.saturating_add(SPECTRUM_FIRST))
    }

    /// What is held back in it.
    pub(super) fn held(&self, done: u32) -> Option<Held> {
        let judged = self.spectrum?.saturating_add(SPECTRUM_FIRST);
        Some(self.held).filter(|_| done <= judged)
    }

    /// How many contrastive rounds are done, and how many there will be.
    pub(super) fn contrastive(&self, done: u32) -> (u32, u32) {
        let Some(start) = self.spectrum else { return (done, self.rounds) };
        let tasks = SPECTRUM_FIRST + 1 + SPECTRUM_LAST;
        (
            done.saturating_sub(done.saturating_sub(start).min(tasks)),
            self.rounds.saturating_sub(tasks),
        )
    }
}

fn held(seed: u64, census: Census) -> Held {
    let people = (JUDGES / (census.people as f64).max(1.0)).min(JUDGES_PART_MAX);
    Held { seed: Draws::new(seed).at(HELD), people, items: HELD_ITEMS }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Much is held back of few people, and given back early; little of many, and late.
    #[test]
    fn where_more_is_held_back_it_is_given_back_earlier() {
        let rounds_before = |people| {
            let plan = Plan::of(&TrainingOptions::default(), Census { people, pairs: people * 10 });
            let held = (0..200).filter(|done| plan.held(*done).is_some());
            (held.count(), plan.held(0).map(|held| held.people))
        };
        let (few, half) = rounds_before(600);
        let (many, part) = rounds_before(80_000);
        assert_eq!((few, half), (85, Some(0.5)));
        assert_eq!((many, part), (125, Some(0.1)));
    }
}
