//! The gradient of the contrastive form: a person, pooled from what they took, is to tell the item that was
//! left out from items drawn at random.
//!
//! For an example with pooled direction `u`, target `+` and negatives `j`, directions `v` and temperature
//! `t`: `loss = -ln(e^(u.v+ / t) / (e^(u.v+ / t) + w sum_j e^(u.v_j / t)))`, the sampled softmax over
//! cosines, where the negatives together count as `negative_weight` items; what the person took is no
//! negative. Gradients are given times `t`, which no step of Adam notices.

use super::product::{Panels, Strips, TALL, WIDE};
use super::round::Example;
use super::{
    Group, Interactions, LearningError, PooledModel, Round, Share, Task, judging, spectrum,
};
use crate::numbers::{SHORTEST, add_scaled, dot, exp, length, normalise};
use crate::wide::{Work, widest};

/// Examples that go through the products at once: their scores then stay in a near cache.
const CHUNK: usize = 128;

impl Round {
    /// The share of some groups of a domain's people. The shares of all groups add up to the domain's, in
    /// any order with the same bits, so that they can be computed side by side.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when the people's catalogue is not the model's.
    pub fn share<'a>(
        &self,
        people: &Interactions,
        model: &PooledModel,
        groups: impl IntoIterator<Item = &'a Group>,
    ) -> Result<Share, LearningError> {
        let (items, dimensions) = model.targets().shape();
        if people.items() != items {
            let found = (people.items(), dimensions);
            return Err(LearningError::Shape { found, expected: (items, dimensions) });
        }
        let held = self.held.as_ref().filter(|_| self.task == Task::Judging);
        if let Some(held) = held {
            let persons = groups.into_iter().flat_map(Group::persons).copied();
            let persons: Vec<usize> = persons.collect();
            return Ok(judging::share(people, held, model, &persons));
        }
        let people = &*self.learned_from(people);
        let mut share = Share::zeros(items, dimensions);
        for group in groups {
            if self.task == Task::Spectrum {
                spectrum::add_people(&mut share, people, model, group.persons());
                continue;
            }
            let drawn = self.negatives(group, items);
            let work =
                OfGroup { round: self, people, model, drawn: &drawn, group, share: &mut share };
            widest(work);
        }
        Ok(share)
    }
}

/// The share of one group.
struct OfGroup<'a> {
    round: &'a Round,
    people: &'a Interactions,
    model: &'a PooledModel,
    drawn: &'a [u32],
    group: &'a Group,
    share: &'a mut Share,
}

/// The negatives' directions, packed for both products that they enter.
struct Negatives {
    columns: Strips,
    rows: Strips,
}

/// What examples look at: a direction each, the length that it was cut from, and the items it was pooled of.
struct Pooled {
    directions: Vec<f32>,
    lengths: Vec<f32>,
    kept: Vec<Vec<u32>>,
}

/// The softmax of a chunk: `weights` times `scale` of the example are the negatives' probabilities.
struct Softmax {
    weights: Strips,
    scale: Vec<f32>,
    /// The targets' probabilities less 1.
    targets: Vec<f32>,
    loss: f32,
}

impl Work for OfGroup<'_> {
    type Out = ();

    #[inline(always)]
    fn run(mut self) {
        let dimensions = self.model.dimensions();
        let rows = self.drawn.iter().flat_map(|&item| self.direction(item));
        let rows: Vec<f32> = rows.copied().collect();
        let negatives = Negatives {
            columns: Strips::of_rows(&rows, dimensions),
            rows: Strips::of_columns(&rows, dimensions),
        };
        for examples in self.group.examples().chunks(CHUNK) {
            let pooled = self.pool(examples);
            let softmax = self.softmax(examples, &pooled, &negatives);
            self.add_negatives(&pooled, &softmax);
            self.add_examples(examples, &pooled, &softmax, &negatives);
            self.share.count(examples.len(), 0, softmax.loss);
        }
        self.share.count(0, self.group.persons().len(), 0.0);
    }
}

impl<'a> OfGroup<'a> {
    #[inline(always)]
    fn direction(&self, item: u32) -> &'a [f32] {
        self.model.targets().row(item as usize).unwrap_or_default()
    }

    #[inline(always)]
    fn pool(&self, examples: &[Example]) -> Pooled {
        let dimensions = self.model.dimensions();
        let mut directions = vec![0.0_f32; examples.len().saturating_mul(dimensions)];
        let mut lengths = Vec::with_capacity(examples.len());
        let mut kept = Vec::with_capacity(examples.len());
        for (example, out) in examples.iter().zip(directions.chunks_exact_mut(dimensions)) {
            let items = self.round.form.kept(example, self.people.row(example.person));
            for &item in &items {
                let row = self.model.history().row(item as usize).unwrap_or_default();
                add_scaled(out, row, 1.0);
            }
            lengths.push(normalise(out));
            kept.push(items);
        }
        Pooled { directions, lengths, kept }
    }

    #[inline(always)]
    fn softmax(&self, examples: &[Example], pooled: &Pooled, negatives: &Negatives) -> Softmax {
        let dimensions = self.model.dimensions();
        let mut weights = Panels::of_rows(&pooled.directions, dimensions).times(&negatives.columns);
        self.weigh(examples, &mut weights);
        let mut scale = vec![0.0_f32; examples.len()];
        for strip in weights.each() {
            scale.iter_mut().zip(strip).for_each(|(sum, row)| *sum += row.iter().sum::<f32>());
        }
        let (mut targets, mut loss) = (Vec::with_capacity(examples.len()), 0.0);
        let directions = pooled.directions.chunks_exact(dimensions);
        for ((example, scale), direction) in examples.iter().zip(&mut scale).zip(directions) {
            let own = self.weight(dot(direction, self.direction(example.target)));
            *scale = 1.0 / (*scale + own);
            targets.push(own * *scale - 1.0);
            loss -= (own * *scale).ln();
        }
        Softmax { weights, scale, targets, loss }
    }

    /// e^(cosine / temperature), of which the greatest is 1.
    #[inline(always)]
    fn weight(&self, cosine: f32) -> f32 {
        exp((cosine - 1.0) * (1.0 / self.round.form.temperature))
    }

    /// Makes weights of cosines: 0 behind the last negative, and for what a person took.
    #[inline(always)]
    fn weigh(&self, examples: &[Example], cosines: &mut Strips) {
        let each = self.round.form.negative_weight / self.drawn.len().max(1) as f32;
        for (strip, drawn) in cosines.each_mut().zip(self.drawn.chunks(WIDE)) {
            for row in strip {
                row.iter_mut().for_each(|cosine| *cosine = self.weight(*cosine) * each);
                row.iter_mut().skip(drawn.len()).for_each(|weight| *weight = 0.0);
            }
        }
        for (at, example) in examples.iter().enumerate() {
            let taken = self.people.row(example.person).iter();
            for column in taken.filter_map(|item| self.drawn.binary_search(item).ok()) {
                if let Some(weight) = cosines.at_mut(at, column) {
                    *weight = 0.0;
                }
            }
        }
    }

    /// By the negatives' directions: probabilities times pooled directions.
    #[inline(always)]
    fn add_negatives(&mut self, pooled: &Pooled, softmax: &Softmax) {
        let dimensions = self.model.dimensions();
        let mut scaled = pooled.directions.clone();
        for (row, &scale) in scaled.chunks_exact_mut(dimensions).zip(&softmax.scale) {
            row.iter_mut().for_each(|v| *v *= scale);
        }
        // The weights have whole panels of rows; those behind the last example must count nothing.
        let rows = softmax.scale.len().next_multiple_of(TALL);
        scaled.resize(rows.saturating_mul(dimensions), 0.0);
        let sums = Panels::of_columns(&scaled, dimensions).times(&softmax.weights);
        let mut row = vec![0.0; dimensions];
        for (items, strip) in self.drawn.chunks(WIDE).zip(sums.each()) {
            for (lane, &item) in items.iter().enumerate() {
                let column = strip.iter().filter_map(|step| step.get(lane));
                row.iter_mut().zip(column).for_each(|(r, &v)| *r = v);
                self.share.add_target(item, &row, 1.0);
            }
        }
    }

    /// By the targets' directions, and by the history vectors that were pooled.
    #[inline(always)]
    fn add_examples(
        &mut self,
        examples: &[Example],
        pooled: &Pooled,
        softmax: &Softmax,
        negatives: &Negatives,
    ) {
        let back = Panels::of_strips(&softmax.weights).times(&negatives.rows);
        let directions = pooled.directions.chunks_exact(self.model.dimensions());
        let coefficients = softmax.scale.iter().zip(&softmax.targets);
        let origins = pooled.lengths.iter().zip(&pooled.kept);
        let each = examples.iter().zip(directions).zip(coefficients).zip(origins);
        for (at, (((example, direction), (&scale, &target)), (&long, kept))) in each.enumerate() {
            let by_negatives = back.each().filter_map(|strip| strip.get(at)).flatten();
            let own = self.direction(example.target);
            let mut gradient: Vec<f32> =
                by_negatives.zip(own).map(|(n, v)| n * scale + target * v).collect();
            // A direction has no gradient along itself.
            let along = dot(&gradient, direction);
            add_scaled(&mut gradient, direction, -along);
            let factor = self.bounded(length(&gradient), kept.len(), long);
            self.share.add_target(example.target, direction, target);
            kept.iter().for_each(|&item| self.share.add_history(item, &gradient, factor));
        }
    }

    /// The factor of a gradient for each of the `count` vectors whose sum was `long`, such that all
    /// together are no longer than the bound.
    #[inline(always)]
    fn bounded(&self, gradient: f32, count: usize, long: f32) -> f32 {
        let together = gradient * (count as f32).sqrt() / long;
        (self.round.form.contribution_max / together.max(SHORTEST)).min(1.0) / long
    }
}
