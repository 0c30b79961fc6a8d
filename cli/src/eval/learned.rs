//! A model learned in this process: on pooled data, or as a cluster learns it, without the links.

use std::fmt;

use bailiwick_core::learning::{
    Balance, Blend, Census, Counts, Interactions, ItemLists, LearningError, ListOptions,
    PackedShare, Parts, PooledModel, Round, Share, Takers, TrainingOptions, train,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};
use serde::Serialize;

use super::metrics::Judge;
use super::popular::Popular;
use super::slates::{best, spread};
use super::sweep::{Sweep, Sweeping};
use super::{EvalArgs, EvalError, Slates};
use crate::data::Split;

/// The name of the variant that uses all there is.
pub(super) const FULL: &str = "profile_std";

/// Items of a history that stand for a session.
const SESSION: usize = 3;

/// Bytes of a number of a share, and of a value of a model, as they travel.
const SHARE_BYTES: u64 = 4;
const MODEL_BYTES: u64 = 2;

/// What learning costs between domains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Sums over the domains: trips between regions.
    pub rounds: u32,
    /// Bytes that a domain sends in all of them.
    pub sent_bytes: u64,
    /// Bytes that a domain is sent.
    pub received_bytes: u64,
    /// The most memory that this process had, where the system says.
    pub memory_peak_bytes: Option<u64>,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, sent_bytes, received_bytes, memory_peak_bytes } = self;
        let mib = |bytes: u64| bytes >> 20;
        write!(f, "{rounds} rounds; a domain sends {} MiB", mib(*sent_bytes))?;
        write!(f, " and is sent {} MiB", mib(*received_bytes))?;
        match memory_peak_bytes {
            Some(bytes) => write!(f, "; peak memory {} MiB", mib(*bytes)),
            None => Ok(()),
        }
    }
}

/// The finished model, and each domain's own lists.
pub(super) struct Learned {
    pooled: PooledModel,
    lists: Vec<ItemLists>,
    threads: usize,
    cost: Cost,
}

impl Learned {
    /// Learns from the split's people, each in the domain that they are dealt to.
    pub(super) fn from(
        split: &Split,
        args: &EvalArgs,
        say: &mut impl FnMut(&str),
    ) -> Result<Self, EvalError> {
        Self::under(&args.training(), split, args, say)
    }

    /// As [`Learned::from`], by these options.
    pub(super) fn under(
        options: &TrainingOptions,
        split: &Split,
        args: &EvalArgs,
        say: &mut impl FnMut(&str),
    ) -> Result<Self, EvalError> {
        let threads = args.threads();
        let people = split.interactions(options.person_items_max)?;
        let progress = |done: u32, of: u32, counts: Counts| {
            if done.is_multiple_of(20) || done == of {
                say(&format!("round {done} of {of}: loss {:.4}", counts.loss / counts.examples));
            }
        };
        let mut blurred = Blurred::of(options, args.seed);
        let sum = |round: &Round, model: &PooledModel| {
            let mut total = summed(&people, round, model, options.balance, threads)?;
            blurred.blur(&mut total);
            Ok(total)
        };
        let pooled = train(&people, *options, sum, progress)?;
        let Blend { spectral, lists, .. } = pooled.blend();
        say(&format!("the spectral part weighs {spectral:.2}, lists weigh {lists:.3}"));
        let lists = people.iter().map(|p| lists_of(p, threads)).collect::<Result<_, _>>()?;
        let cost = Cost::of(split.items(), options);
        Ok(Self { pooled, lists, threads, cost })
    }

    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// Items of which the model knows something.
    pub(super) fn items_known(&self) -> usize {
        let items = u32::try_from(self.pooled.targets().shape().0).unwrap_or(u32::MAX);
        (0..items).filter(|item| self.pooled.knows(*item)).count()
    }

    /// What is served, and what the vectors alone would serve.
    pub(super) fn with_and_without_lists<'a>(
        &'a self,
        split: &'a Split,
    ) -> [Box<dyn Slates + 'a>; 2] {
        let all = Wanted { vectors: true, lists: true };
        [all, Wanted { lists: false, ..all }].map(|wanted| {
            let variant: Box<dyn Slates + 'a> =
                Box::new(Variant { name: FULL, history: usize::MAX, wanted, learned: self, split });
            variant
        })
    }

    /// Every variant that is judged.
    pub(super) fn variants<'a>(&'a self, split: &'a Split) -> Vec<Box<dyn Slates + 'a>> {
        let of = |name, history, wanted| Variant { name, history, wanted, learned: self, split };
        let all = Wanted { vectors: true, lists: true };
        let (vectors, lists) = (Wanted { lists: false, ..all }, Wanted { vectors: false, ..all });
        vec![
            Box::new(of(FULL, usize::MAX, all)),
            Box::new(of("vectors", usize::MAX, vectors)),
            Box::new(of("home_lists", usize::MAX, lists)),
            Box::new(of("session_only", SESSION, vectors)),
            Box::new(of("contextual", 1, vectors)),
            Box::new(Popular::of(split)),
        ]
    }
}

/// Which parts a variant's scores have.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    vectors: bool,
    lists: bool,
}

/// One way to use what was learned.
struct Variant<'a> {
    name: &'static str,
    /// How many of the last items taken are looked at.
    history: usize,
    wanted: Wanted,
    learned: &'a Learned,
    split: &'a Split,
}

impl Slates for Variant<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn slates(&self, people: &[usize], limit: usize) -> Result<Vec<Vec<u32>>, EvalError> {
        spread(people, self.learned.threads, |&person| self.slate(person, limit))
    }
}

impl Variant<'_> {
    fn slate(&self, person: usize, limit: usize) -> Vec<u32> {
        let taken = self.split.train(person);
        let used = taken.get(taken.len().saturating_sub(self.history)..).unwrap_or_default();
        let scores = self.learned.scores(self.wanted, self.split, person, used);
        best(scores, taken, f32::NEG_INFINITY, limit)
    }
}

impl Learned {
    /// What a person's items score who speaks by `used`.
    fn scores(&self, wanted: Wanted, split: &Split, person: usize, used: &[u32]) -> Vec<f32> {
        let home = self.lists.get(split.home(person));
        let parts = Parts {
            pooled: Some(&self.pooled).filter(|_| wanted.vectors),
            lists: home.filter(|_| wanted.lists),
        };
        self.pooled.blend().scores(&parts, split.items(), used, split.train(person))
    }

    /// What the floors cost.
    pub(super) fn sweep(&self, split: &Split, judge: &Judge<'_>) -> Result<Sweep, EvalError> {
        let all = Wanted { vectors: true, lists: true };
        let scores = |person| self.scores(all, split, person, split.train(person));
        Sweeping::new(split, judge, &self.pooled, self.threads, scores)?.sweep()
    }
}

/// The sum of all domains' shares as they travel, each domain's groups spread over the threads.
fn summed(
    domains: &[Interactions],
    round: &Round,
    model: &PooledModel,
    balance: Balance,
    threads: usize,
) -> Result<Share, LearningError> {
    let mut total: Option<PackedShare> = None;
    let all = domains.iter().map(|people| Census::of(people).people).sum();
    for people in domains {
        let groups = round.groups(people);
        // One sum a thread, since sums are as large as the model; groups dealt in turn.
        let lanes: Vec<usize> = (0..threads).collect();
        let share =
            |&lane: &usize| round.share(people, model, groups.iter().skip(lane).step_by(threads));
        // A thread that broke off leaves no sum: as if no domain had given a part.
        let shares = spread(&lanes, threads, share).map_err(|_| LearningError::NoParts)?;
        let mut shares = shares.into_iter();
        let mut own = shares.next().ok_or(LearningError::NoParts)??;
        shares.try_for_each(|share| own.add(&share?))?;
        own.weigh(balance.weight(Census::of(people).people, all, domains.len()));
        let own = own.packed(round.fineness);
        match &mut total {
            Some(total) => total.add(&own)?,
            None => total = Some(own),
        }
    }
    total.ok_or(LearningError::NoParts)?.unpacked()
}

/// The noise that the domains would add, drawn from the evaluation's seed so that it can be run again.
struct Blurred {
    deviation: f64,
    random: ChaCha20Rng,
}

impl Blurred {
    fn of(options: &TrainingOptions, seed: u64) -> Self {
        Self {
            deviation: options.deviation(|whole| whole),
            random: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    fn blur(&mut self, total: &mut Share) {
        if self.deviation > 0.0 {
            total.blur(self.deviation, &mut || StandardNormal.sample(&mut self.random));
        }
    }
}

fn lists_of(people: &Interactions, threads: usize) -> Result<ItemLists, EvalError> {
    /// Items of one piece of work.
    const PIECE: usize = 512;
    let takers = Takers::of(people);
    let pieces: Vec<usize> = (0..people.items()).step_by(PIECE).collect();
    let of = |&start: &usize| {
        let end = start.saturating_add(PIECE).min(people.items());
        takers.lists(start..end, &ListOptions::default())
    };
    Ok(ItemLists::join(spread(&pieces, threads, of)?).turned())
}

impl Cost {
    /// The same, with the most memory so far.
    pub(super) fn up_to_now(self) -> Self {
        Self { memory_peak_bytes: memory_peak_bytes(), ..self }
    }

    /// A share up and a model down a round.
    pub(super) fn of(items: usize, training: &TrainingOptions) -> Self {
        let values = (items as u64).saturating_mul(training.dimensions as u64).saturating_mul(2);
        let values = values.saturating_mul(training.rounds.into());
        Self {
            rounds: training.rounds,
            sent_bytes: values.saturating_mul(SHARE_BYTES),
            received_bytes: values.saturating_mul(MODEL_BYTES),
            memory_peak_bytes: memory_peak_bytes(),
        }
    }
}

/// What Linux counts as the most memory resident.
fn memory_peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use bailiwick_core::learning::{Block, Training};

    use super::*;
    use crate::data::shared_data;

    /// The public splits, as they lie beside the workspace.
    const SPLITS: [&str; 4] =
        ["amazon-cds-m1", "bookcrossing/split", "lastfm-2k/split", "ml-latest-small/split"];

    /// All numbers of a sum.
    fn numbers(total: &Share) -> Vec<f32> {
        let [targets, history, _] = total.blocks().map(|block| block.scaled(1.0));
        [targets, history].iter().flat_map(Block::values).copied().collect()
    }

    /// Dealt over three domains a round's sum is that over pooled data: by history vectors to the last bit, by targets to
    /// 1e-6 of its greatest number as it is added up, and as it travels to half a step more for each domain. So are the
    /// vectors of several rounds, but for fewer than one value in a thousand: a value that is rounded to 16 bits on its
    /// way to the domains may fall to either side, and where a sum is all but zero Adam magnifies what is rounded off.
    /// The farthest seen was off by 3.2e-4.
    #[test]
    fn federated_sums_equal_central_ones_on_every_split() {
        let test = "federated_sums_equal_central_ones_on_every_split";
        let Some(data) = shared_data(env!("CARGO_MANIFEST_DIR"), test) else { return };
        let options =
            TrainingOptions { dimensions: 16, round_examples: 4096, ..TrainingOptions::default() };
        for name in SPLITS {
            let dealt = |domains: usize| {
                let split = Split::read(&data.join(name)).unwrap().dealt(domains);
                split.interactions(options.person_items_max).unwrap()
            };
            let (pooled, apart) = (dealt(1), dealt(3));
            let census = apart.iter().map(Census::of).reduce(Census::plus).unwrap();
            assert_eq!(Some(census), pooled.iter().map(Census::of).reduce(Census::plus), "{name}");
            let training = Training::start(options, pooled[0].items(), census).unwrap();
            let (round, model) = (training.round().unwrap(), training.asked().unwrap());
            let at_home = |domains| bailiwick_core::learning::summed(domains, &round, &model);
            let travelled = |domains| summed(domains, &round, &model, options.balance, 2);
            let (central, federated) = (at_home(&pooled).unwrap(), at_home(&apart).unwrap());
            assert!(central.blocks()[1] == federated.blocks()[1], "{name}: by history vectors");
            let (central, federated) = (numbers(&central), numbers(&federated));
            let words = numbers(&travelled(&apart).unwrap());
            let greatest = central.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
            let near = |found: &[f32], most: f32| {
                central.iter().zip(found).all(|(a, b)| (a - b).abs() <= most)
            };
            assert!(greatest > 0.0 && near(&federated, 1e-6 * greatest), "{name}");
            let step = round.fineness.map(|steps| (-f32::from(steps.bits())).exp2());
            assert!(near(&words, 1e-6 * greatest + 1.5 * step[0].max(step[1])), "{name}");
            let off = sorted_off(&learned(&pooled, options), &learned(&apart, options));
            let (most, nearly_most) = (off[off.len() - 1], off[off.len() * 999 / 1000]);
            assert!(nearly_most <= 1e-6 && most <= 5e-4, "{name}: {nearly_most} {most}");
        }
    }

    /// What a few rounds learn.
    fn learned(people: &[Interactions], options: TrainingOptions) -> PooledModel {
        let options = TrainingOptions { rounds: 6, ..options };
        let sum =
            |round: &Round, model: &PooledModel| summed(people, round, model, options.balance, 2);
        train(people, options, sum, |_, _, _| ()).unwrap()
    }

    /// By how much the values of two models differ, the least first.
    fn sorted_off(a: &PooledModel, b: &PooledModel) -> Vec<f32> {
        let values = |model: &PooledModel| {
            [model.targets(), model.history()].map(|block| block.values().to_vec()).concat()
        };
        let mut off: Vec<f32> =
            values(a).iter().zip(values(b)).map(|(a, b)| (a - b).abs()).collect();
        off.sort_unstable_by(f32::total_cmp);
        off
    }
}
