//! What an evaluation showed, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::bootstrap::mean_with_interval;
use super::learned::Cost;
use super::metrics::{Figures, Judged, mean};
use super::private::Privacy;
use super::sweep::Sweep;
use super::times::{Times, Took};
use super::{Against, AllFigures, EvalArgs, Groups, plot};
use crate::data::Split;

/// One variant's figures over all people judged. Where there is an interval, 95 of 100 resampled sets of
/// people have their mean in it; coverage and Gini have none, since a resampled set shows fewer items.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantFigures {
    /// Hits / test items.
    #[serde(rename = "recall@20")]
    pub recall: f64,
    #[serde(rename = "recall@20_interval")]
    recall_interval: [f64; 2],
    /// Binary gain, over the ideal for min(20, test items).
    #[serde(rename = "ndcg@20")]
    pub ndcg: f64,
    #[serde(rename = "ndcg@20_interval")]
    ndcg_interval: [f64; 2],
    /// Part of the catalogue in some slate.
    pub coverage: f64,
    /// Mean distance of two items of a slate, 0 to 1.
    pub intra_list_diversity: f64,
    intra_list_diversity_interval: [f64; 2],
    /// Of the items' places in slates, 0 to 1.
    pub gini: f64,
    /// Bits.
    pub novelty: f64,
    novelty_interval: [f64; 2],
    /// 0: as popular as what the person took.
    pub popularity_lift: f64,
    popularity_lift_interval: [f64; 2],
    /// People judged.
    pub people: usize,
    /// Through a cluster: how many slates were of which variant, by what the decisions say.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub answered: BTreeMap<String, usize>,
}

/// One domain's people, under the whole variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DomainFigures {
    /// People judged.
    pub people: usize,
    /// Pairs of person and item to learn from.
    pub train_pairs: usize,
    /// As in [`VariantFigures`].
    #[serde(rename = "recall@20")]
    pub recall: f64,
    /// As in [`VariantFigures`].
    #[serde(rename = "ndcg@20")]
    pub ndcg: f64,
}

/// An evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct EvalReport {
    /// The split's directory.
    pub path: String,
    /// Whether the data was pooled.
    pub central: bool,
    /// Seconds of learning.
    pub learn_seconds: f64,
    /// Seconds of the processor that learning took, where the system says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learn_cpu_seconds: Option<f64>,
    /// Through a cluster: putting the train side into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Took>,
    /// Through a cluster: asking for all slates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<Took>,
    /// What learning cost between domains.
    pub learn: Cost,
    /// By variant.
    pub variants: BTreeMap<&'static str, VariantFigures>,
    /// What the floors cost, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// What privacy costs, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
    /// By domain.
    pub domains: BTreeMap<String, DomainFigures>,
    /// By country and by age, where these are told.
    pub groups: Groups,
    /// Beside the slates of `--against`, under the whole variant.
    #[serde(skip_serializing_if = "no_slates")]
    pub against: Against,
}

fn no_slates(against: &Against) -> bool {
    against.0.is_empty()
}

impl VariantFigures {
    pub(super) fn new(judged: &Judged, seed: u64) -> Self {
        let of = |value: fn(&Figures) -> f64| {
            let values: Vec<f64> =
                judged.people.iter().map(|(_, figures)| value(figures)).collect();
            mean_with_interval(&values, seed)
        };
        let (recall, recall_interval) = of(|f| f.recall);
        let (ndcg, ndcg_interval) = of(|f| f.ndcg);
        let (intra_list_diversity, intra_list_diversity_interval) = of(|f| f.diversity);
        let (novelty, novelty_interval) = of(|f| f.novelty);
        let (popularity_lift, popularity_lift_interval) = of(|f| f.popularity_lift);
        Self {
            recall,
            recall_interval,
            ndcg,
            ndcg_interval,
            coverage: judged.coverage,
            intra_list_diversity,
            intra_list_diversity_interval,
            gini: judged.gini,
            novelty,
            novelty_interval,
            popularity_lift,
            popularity_lift_interval,
            people: judged.people.len(),
            answered: BTreeMap::new(),
        }
    }

    /// The same, with what the answers say of themselves.
    pub(super) fn answered(self, answered: BTreeMap<String, usize>) -> Self {
        Self { answered, ..self }
    }
}

/// The figures of each domain's people.
pub(super) fn by_domain(split: &Split, judged: &Judged) -> BTreeMap<String, DomainFigures> {
    let home = |person: usize| split.home(person);
    let of = |domain: usize| {
        let mine = || judged.people.iter().filter(move |(person, _)| home(*person) == domain);
        let train = split.people().filter(|&person| home(person) == domain);
        let figures = DomainFigures {
            people: mine().count(),
            train_pairs: train.map(|person| split.train(person).len()).sum(),
            recall: mean(mine().map(|(_, figures)| figures.recall)),
            ndcg: mean(mine().map(|(_, figures)| figures.ndcg)),
        };
        (format!("domain-{domain}"), figures)
    };
    (0..split.domains()).map(of).collect()
}

impl EvalReport {
    pub(super) fn new(args: &EvalArgs, times: Times, learn: Cost, figures: AllFigures) -> Self {
        let path = args.path.display().to_string();
        let (central, sweep, privacy) = (args.central, None, None);
        let AllFigures { variants, domains, groups, against } = figures;
        Self {
            path,
            central,
            learn_seconds: times.learn.seconds,
            learn_cpu_seconds: times.learn.cpu_seconds,
            load: times.load,
            ask: times.ask,
            learn,
            variants,
            sweep,
            privacy,
            domains,
            groups,
            against,
        }
    }
}

impl EvalReport {
    /// The curves that were asked for, as SVG; none where none were.
    #[must_use]
    pub fn picture(&self) -> Option<String> {
        let floors = self.sweep.as_ref();
        let floors = floors.map(|sweep| plot::svg("the setting", ["0", "1"], &sweep.curves()));
        let privacy = self.privacy.as_ref();
        floors.or_else(|| privacy.map(|p| plot::svg("epsilon", ["0.1", "1000"], &p.curves())))
    }
}

impl fmt::Display for EvalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.central { "pooled" } else { "domain by domain" };
        let learn = Took { seconds: self.learn_seconds, cpu_seconds: self.learn_cpu_seconds };
        writeln!(f, "{}, learned {how} in {learn}", self.path)?;
        if let (Some(load), Some(ask)) = (self.load, self.ask) {
            writeln!(f, "through a cluster: loaded in {load}, asked in {ask}")?;
        }
        writeln!(f, "{}", self.learn)?;
        writeln!(
            f,
            "\n{:14}{:>25}{:>25}{:>10}{:>10}{:>8}{:>9}{:>8}",
            "variant", "recall@20", "ndcg@20", "coverage", "diversity", "gini", "novelty", "lift"
        )?;
        for (name, v) in &self.variants {
            let wide = |mean: f64, [low, high]: [f64; 2]| format!("{mean:.4} ({low:.4}-{high:.4})");
            write!(f, "{name:14}{:>25}", wide(v.recall, v.recall_interval))?;
            write!(f, "{:>25}", wide(v.ndcg, v.ndcg_interval))?;
            write!(f, "{:>10.3}{:>10.3}", v.coverage, v.intra_list_diversity)?;
            writeln!(f, "{:>8.3}{:>9.2}{:>8.2}", v.gini, v.novelty, v.popularity_lift)?;
        }
        for (name, v) in self.variants.iter().filter(|(_, v)| !v.answered.is_empty()) {
            let of = |(variant, slates): (&String, &usize)| format!("{slates} of {variant}");
            let answered: Vec<String> = v.answered.iter().map(of).collect();
            writeln!(f, "{name}: slates {}", answered.join(", "))?;
        }
        writeln!(
            f,
            "\n{:14}{:>10}{:>14}{:>11}{:>9}",
            "domain", "people", "train pairs", "recall@20", "ndcg@20"
        )?;
        for (name, d) in &self.domains {
            writeln!(
                f,
                "{name:14}{:>10}{:>14}{:>11.4}{:>9.4}",
                d.people, d.train_pairs, d.recall, d.ndcg
            )?;
        }
        self.groups.fmt(f)?;
        self.against.fmt(f)?;
        self.sweep.iter().try_for_each(|sweep| sweep.fmt(f))?;
        self.privacy.iter().try_for_each(|privacy| privacy.fmt(f))
    }
}
