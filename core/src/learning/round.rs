//! What is drawn for one round: the same for every domain, whoever is in which.

use std::borrow::Cow;

use super::{Draws, Fineness, Held, Interactions, judging};

/// What the sum of a round is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Task {
    /// A step of the contrastive form.
    #[default]
    Contrast,
    /// A step of the spectral part's power iteration.
    Spectrum,
    /// The choice of a blend's weights.
    Judging,
}

/// One round: everything that a domain must know to give its share, but the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// Names every draw of the round; no two rounds share one.
    pub seed: u64,
    /// Part of all pairs of person and item that are examples, 0 to 1.
    pub rate: f64,
    /// Groups into which people fall; the examples of a group share their negatives.
    pub groups: u32,
    /// How examples are made and weighed.
    pub form: Form,
    /// What is summed.
    pub task: Task,
    /// What is not learned from in this round; in a round of judging, what is judged by.
    pub held: Option<Held>,
    /// In what steps shares travel: the sums over target, and over history vectors.
    pub fineness: [Fineness; 2],
}

/// How examples are made and weighed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Form {
    /// Examples that a person gives to a round at most.
    pub person_examples_max: usize,
    /// Items drawn for a group, to be told from the target (fewer where one is drawn twice).
    pub negatives: usize,
    /// As how many items the negatives count against the target.
    pub negative_weight: f32,
    /// Divides the cosines.
    pub temperature: f32,
    /// Part of a history that is left out of an example, at random.
    pub dropout: f64,
    /// Length of an example's part in the sum over history vectors, at most.
    pub contribution_max: f32,
}

/// One person and the item that is to be told from chance by their other items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Example {
    /// The person's place among the domain's.
    pub(super) person: usize,
    /// Names the draws of the example.
    pub(super) draws: Draws,
    /// The item.
    pub(super) target: u32,
}

/// Some people, and the examples that they give: a piece of work that can be done apart from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    number: u32,
    /// Their places among the domain's, ascending.
    persons: Vec<usize>,
    examples: Vec<Example>,
}

impl Group {
    pub(super) fn persons(&self) -> &[usize] {
        &self.persons
    }

    pub(super) fn examples(&self) -> &[Example] {
        &self.examples
    }
}

/// Names of streams: what is drawn for.
const EXAMPLES: u64 = 0;
const NEGATIVES: u64 = 1;

impl Round {
    /// Items and values of the vectors of the model that a round is asked for with, where a training has `items` and
    /// `dimensions`.
    #[must_use]
    pub fn model_shape(&self, items: usize, dimensions: usize) -> (usize, usize) {
        match self.task {
            Task::Contrast => (items, dimensions),
            // The block has as many columns as a vector has values, half of them on either side.
            Task::Spectrum => (items, dimensions / 2),
            Task::Judging => (items, dimensions.saturating_add(dimensions / 2)),
        }
    }

    /// Rows and columns of a share, likewise.
    #[must_use]
    pub fn share_shape(&self, items: usize, dimensions: usize) -> (usize, usize) {
        match self.task {
            Task::Contrast | Task::Spectrum => self.model_shape(items, dimensions),
            Task::Judging => judging::SHAPE,
        }
    }

    /// The people as they are learned from in this round.
    pub(super) fn learned_from<'a>(&self, people: &'a Interactions) -> Cow<'a, Interactions> {
        match &self.held {
            Some(held) if self.task != Task::Judging => Cow::Owned(held.without(people)),
            _ => Cow::Borrowed(people),
        }
    }

    /// The pieces of work of these people. A person's draws hang on seed and tag alone, so that the same
    /// people give the same in whichever domain they are.
    #[must_use]
    pub fn groups(&self, people: &Interactions) -> Vec<Group> {
        let rest = self.learned_from(people);
        match self.task {
            Task::Contrast => self.of_examples(&rest),
            Task::Spectrum => dealt(rest.people(), self.groups),
            // All at once: they share the lists.
            Task::Judging => dealt(rest.people(), 1),
        }
    }

    /// The examples of people, by group. Who took fewer than two items gives none.
    fn of_examples(&self, people: &Interactions) -> Vec<Group> {
        let new = |number| Group { number, persons: Vec::new(), examples: Vec::new() };
        let mut groups: Vec<Group> = (0..self.groups).map(new).collect();
        let root = Draws::new(self.seed).stream(EXAMPLES);
        for (person, (tag, taken)) in people.tagged().enumerate().filter(|(_, (_, t))| t.len() > 1)
        {
            let draws = root.stream(tag);
            let targets = self.targets(draws, taken);
            let number = draws.below(u64::MAX, self.groups.into()) as usize;
            if let Some(group) = groups.get_mut(number).filter(|_| !targets.is_empty()) {
                group.persons.push(person);
                let example =
                    |target: u32| Example { person, draws: draws.stream(target.into()), target };
                group.examples.extend(targets.into_iter().map(example));
            }
        }
        groups.retain(|group| !group.examples.is_empty());
        groups
    }

    /// The items of a person that are targets: each with the chance `rate`, those of the smallest draws
    /// where they are too many.
    fn targets(&self, draws: Draws, taken: &[u32]) -> Vec<u32> {
        let drawn = taken.iter().filter(|&&item| draws.happens(item.into(), self.rate));
        let mut targets: Vec<u32> = drawn.copied().collect();
        if targets.len() > self.form.person_examples_max {
            targets.sort_unstable_by_key(|&item| (draws.at(item.into()), item));
            targets.truncate(self.form.person_examples_max);
        }
        targets
    }

    /// The items that the group's targets are to be told from, ascending, each once.
    pub(super) fn negatives(&self, group: &Group, items: usize) -> Vec<u32> {
        let draws = Draws::new(self.seed).stream(NEGATIVES).stream(group.number.into());
        let draw = |place| draws.below(place, items as u64) as u32;
        let mut drawn: Vec<u32> = (0..self.form.negatives as u64).map(draw).collect();
        drawn.sort_unstable();
        drawn.dedup();
        drawn
    }
}

/// People in groups of those next to each other.
fn dealt(people: usize, groups: u32) -> Vec<Group> {
    let each = people.div_ceil(groups.max(1) as usize).max(1);
    let starts = (0..people).step_by(each).zip(0..);
    let group = |(start, number): (usize, u32)| Group {
        number,
        persons: (start..start.saturating_add(each).min(people)).collect(),
        examples: Vec::new(),
    };
    starts.map(group).collect()
}

impl Form {
    /// What of a history an example looks at: without the target, and without a part that is drawn; all
    /// but the target where nothing would be left.
    #[inline(always)]
    pub(super) fn kept(&self, example: &Example, taken: &[u32]) -> Vec<u32> {
        let others = || taken.iter().copied().filter(|&item| item != example.target);
        let kept: Vec<u32> =
            others().filter(|&item| !example.draws.happens(item.into(), self.dropout)).collect();
        if kept.is_empty() { others().collect() } else { kept }
    }
}
