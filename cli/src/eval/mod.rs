//! `bailiwick eval`: how good and how fair the slates are, on a public split into train and test.
//!
//! Whoever makes slates is behind [`Slates`]: here a model that is learned in this process, pooled or
//! domain by domain; a running cluster can be asked through the same trait. What is judged, and how, is the
//! same for all (`metrics`).

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

pub use against::{Against, Beside, Difference};
pub use aims::{AimCurves, AimPoint};
pub use args::EvalArgs;
pub use error::EvalError;
pub use groups::{GroupFigures, Groups};
pub use private::{Privacy, PrivacyPoint};
pub use report::{DomainFigures, EvalReport, VariantFigures};
pub use slates::Slates;
pub use sweep::{Point, Sweep};

use std::collections::BTreeMap;
use std::time::Instant;

use crate::data::Split;
use cluster::Taught;
use learned::Learned;
use metrics::Judge;

/// Length of the slates that are judged.
pub const AT: usize = 20;

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
    if args.cluster {
        let taught = Taught::from(&split, args, &mut say)?;
        let figures = judged(args, &split, &judge, taught.variants(), &mut say)?;
        let report = EvalReport::new(args, taught.learn_seconds, taught.cost, figures);
        taught.stop();
        return Ok(report);
    }
    let started = Instant::now();
    let learned = Learned::from(&split, args, &mut say)?;
    let learn_seconds = started.elapsed().as_secs_f64();
    say(&format!("learned in {learn_seconds:.0} s"));
    let figures = judged(args, &split, &judge, learned.variants(&split), &mut say)?;
    let mut report = EvalReport::new(args, learn_seconds, learned.cost(), figures);
    if args.sweep {
        report.sweep = Some(learned.sweep(&split, &judge)?);
    }
    if !args.epsilon.is_empty() {
        report.privacy = Some(private::curve(&learned, &split, &judge, args, &mut say)?);
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
        let slates = variant.slates(judge.people(), AT)?;
        let judged = judge.judge(&slates);
        if variant.name() == learned::FULL {
            domains = report::by_domain(split, &judged);
            groups = groups::groups(split, &judged, args.seed);
            against = against::against(args, split, judge, &judged)?;
        }
        let figures = VariantFigures::new(&judged, args.seed).answered(variant.answered());
        variants.insert(variant.name(), figures);
        say(&format!("judged {}", variant.name()));
    }
    Ok(AllFigures { variants, domains, groups, against })
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
