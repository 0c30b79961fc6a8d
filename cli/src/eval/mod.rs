//! `bailiwick eval`: how good and how fair the slates are, on a public split into train and test.
//!
//! Whoever makes slates is behind [`Slates`]: a cluster of real parts, started for this, that is asked through its public
//! API; or a model that is learned in this process, pooled or domain by domain. What is judged, and how, is the same for
//! all (`metrics`).

mod against;
mod aims;
mod args;
mod bootstrap;
mod cluster;
mod error;
mod groups;
mod learned;
mod load;
mod metrics;
mod plot;
mod popular;
mod private;
mod report;
mod slates;
mod stand;
mod sweep;
mod times;

pub use against::{Against, Beside, Difference};
pub use aims::{AimCurves, AimPoint};
pub use args::EvalArgs;
pub use error::EvalError;
pub use groups::{GroupFigures, Groups};
pub use private::{Privacy, PrivacyPoint};
pub use report::{DomainFigures, EvalReport, VariantFigures};
pub use slates::Slates;
pub use sweep::{Point, Sweep};
pub use times::Took;

use std::collections::BTreeMap;

use crate::data::Split;
use cluster::Taught;
use learned::Learned;
use metrics::Judge;
use times::{Stopwatch, Times};

/// Length of the slates that are judged.
pub const AT: usize = 20;
/// Slates after which an evaluation says how far it is.
const SAID_EVERY: usize = 5000;

/// Learns from the split's train side and judges every variant. `say` hears how far it is, in sentences for
/// people.
///
/// # Errors
/// [`EvalError`]: a file that can't be read, a split without test items, options that can't be learned with.
pub fn run(args: &EvalArgs, mut say: impl FnMut(&str)) -> Result<EvalReport, EvalError> {
    let split = Split::read(&args.path)?.dealt(args.domain_count());
    let split = match args.held_out {
        Some(share) => split.held_out(share, args.seed),
        None => split,
    };
    let judge = Judge::new(&split, args.people_step());
    if judge.people().is_empty() {
        return Err(EvalError::NoTest);
    }
    match args.is_in_process() {
        true => in_process(args, &split, &judge, &mut say),
        false => through_cluster(args, &split, &judge, &mut say),
    }
}

fn through_cluster(
    args: &EvalArgs,
    split: &Split,
    judge: &Judge<'_>,
    say: &mut impl FnMut(&str),
) -> Result<EvalReport, EvalError> {
    let taught = Taught::from(split, args, say)?;
    let asked = Stopwatch::start();
    let figures = judged(args, split, judge, taught.variants(), say);
    let times = Times { ask: Some(asked.took()), ..taught.times };
    // Of asking too.
    let cost = taught.cost.up_to_now();
    // Also where somebody could not be asked: a runtime that is only dropped waits for what its nodes have running.
    taught.stop();
    Ok(EvalReport::new(args, times, cost, figures?))
}

fn in_process(
    args: &EvalArgs,
    split: &Split,
    judge: &Judge<'_>,
    say: &mut impl FnMut(&str),
) -> Result<EvalReport, EvalError> {
    let learning = Stopwatch::start();
    let learned = Learned::from(split, args, say)?;
    let times = Times { learn: learning.took(), load: None, ask: None };
    say(&format!("learned in {:.0} s", times.learn.seconds));
    let figures = judged(args, split, judge, learned.variants(split), say)?;
    let mut report = EvalReport::new(args, times, learned.cost(), figures);
    if args.sweep {
        report.sweep = Some(learned.sweep(split, judge)?);
    }
    if !args.epsilon.is_empty() {
        report.privacy = Some(private::curve(&learned, split, judge, args, say)?);
    }
    Ok(report)
}

/// The figures of every variant; those of each domain and group, and beside other slates, under the whole variant.
pub(crate) struct AllFigures {
    variants: BTreeMap<&'static str, VariantFigures>,
    domains: BTreeMap<String, DomainFigures>,
    groups: Groups,
    against: Against,
}

fn judged(
    args: &EvalArgs,
    split: &Split,
    judge: &Judge<'_>,
    asked: Vec<Box<dyn Slates + '_>>,
    say: &mut impl FnMut(&str),
) -> Result<AllFigures, EvalError> {
    let (mut variants, mut domains) = (BTreeMap::new(), BTreeMap::new());
    let (mut groups, mut against) = (Groups::default(), Against::default());
    for variant in asked {
        let slates = asked_for(variant.as_ref(), judge, say)?;
        let judged = judge.judge(&slates);
        if variant.name() == learned::FULL {
            domains = report::by_domain(split, &judged);
            groups = groups::groups(split, &judged, args.seed);
            against = against::against(args, split, judge, &judged)?;
        }
        let figures = VariantFigures::new(&judged, args.seed).answered(variant.answered());
        variants.insert(variant.name(), figures);
    }
    Ok(AllFigures { variants, domains, groups, against })
}

/// Everybody's slate of a variant. Says how far it is.
fn asked_for(
    variant: &dyn Slates,
    judge: &Judge<'_>,
    say: &mut impl FnMut(&str),
) -> Result<Vec<Vec<u32>>, EvalError> {
    let (name, count) = (variant.name(), judge.people().len());
    let mut slates = Vec::with_capacity(count);
    for people in judge.people().chunks(SAID_EVERY) {
        slates.extend(variant.slates(people, AT)?);
        say(&format!("{name}: {} of {count} slates", slates.len()));
    }
    Ok(slates)
}

/// Runs the evaluation and prints its report.
///
/// # Errors
/// As [`run`].
#[allow(clippy::print_stdout)] // what a command is for goes to standard output
pub fn command(args: &EvalArgs) -> Result<(), EvalError> {
    let report = run(args, |line| eprintln!("{line}"))?;
    let text = match args.json {
        true => serde_json::to_string(&report).unwrap_or_default(),
        false => report.to_string(),
    };
    println!("{text}");
    match (&args.svg, report.picture()) {
        (Some(file), Some(picture)) => std::fs::write(file, picture)
            .map_err(|source| EvalError::Svg { file: file.clone(), source }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
