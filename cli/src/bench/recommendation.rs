//! `bailiwick bench recommendation`: what the vector index is worth to a recommendation.
//!
//! Slates are made as a node makes them, over a catalogue in this process, and the search in them is made again by
//! simpler means: a look at every vector, and `hnsw_rs` as it comes. A slate by those is reckoned: its own time, less its
//! search, more theirs.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Instant;

use bailiwick_ann::bench::{BenchError, Graph, Vectors};
use bailiwick_ann::{Filter, LiveIndex, Row};
use bailiwick_core::ids::{ItemId, Jurisdiction, UnixMillis};
use bailiwick_core::learning::Draws;
use bailiwick_core::policy::{AgeBand, Asking, Consent, Decision, Inputs, Ratio, Service, decide};
use bailiwick_core::ranking::Objectives;
use bailiwick_node::catalog::{Catalogue, ShelfView};
use bailiwick_node::recommend::{History, Request, Touch, recommend, tune};
use bailiwick_proto::v1;
use bailiwick_proto::validate::{self, RecommendQuery};
use clap::Args;
use serde::Serialize;

use crate::dev::default_packs;

/// What a source looks for where a slate of [`SLATE`] is asked for.
const SOUGHT: usize = 100;
const SLATE: u32 = 20;
/// A history is of so many corners of the catalogue.
const TASTES: usize = 4;
const SEED: u64 = 11;
/// Under whose packs slates are made, for adults who agreed.
const HOME: &str = "EU-DE";

/// Measure what the vector index is worth to a recommendation, in this process and on one thread.
#[derive(Debug, Args)]
pub struct RecommendationArgs {
    /// Made-up items.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    rows: u32,
    /// Values of each one's vector.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=2048))]
    dimensions: u32,
    /// People who ask.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    people: u32,
    /// Items that each one took.
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u32).range(4..=500))]
    history: u32,
    /// Candidates with which hnsw_rs builds; 0 leaves it out.
    #[arg(long, default_value_t = 100)]
    plain: usize,
    /// Rounds, of which each person's best counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Half of some times are below `p50_us`, 99 of 100 below `p99_us`. Microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    /// The median.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
}

/// One way to search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Way {
    /// Its name.
    pub engine: &'static str,
    /// The part of the true nearest that it finds.
    pub recall: f64,
    /// One search.
    pub search: Times,
    /// A slate by it.
    pub recommendation: Times,
}

/// What a run showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecommendationReport {
    /// Items.
    pub items: u32,
    /// Values of a vector.
    pub dimensions: u32,
    /// Items that each person took.
    pub history: u32,
    /// Candidates that each search keeps.
    pub ef: usize,
    /// This index first.
    pub ways: Vec<Way>,
}

/// Measures. `say` hears what is being done.
///
/// # Errors
/// [`BenchError`] where an index refuses.
pub fn run(
    args: &RecommendationArgs,
    say: &mut impl FnMut(&str),
) -> Result<RecommendationReport, BenchError> {
    let (rows, width) = (args.rows as usize, args.dimensions as usize);
    say("making items");
    let vectors = Vectors::clustered(rows, width, SEED)?;
    let items = (0..).zip(vectors.rows()).map(made_up).collect();
    let catalogue = Catalogue::alone(Some(vectors.space()), items);
    // INVARIANT: the vectors lie in this very space.
    let index = catalogue.index().unwrap_or_else(|| unreachable!("the space is open"));
    say("building the index");
    index.merge()?;
    tune(&index)?;
    let people: Vec<Person> = (0..u64::from(args.people))
        .map(|person| Person::draw(person, args.history as usize, &vectors, &index))
        .collect::<Result<_, _>>()?;
    let scene =
        Scene { vectors: &vectors, index: &index, ef: index.ef().max(SOUGHT), people: &people };
    say("making slates");
    let slates = scene.slates(&catalogue.view(), args.rounds);
    let mut searched = vec![scene.timed("bailiwick", args.rounds, |person| scene.own(person))?];
    searched.push(scene.timed("a look at every vector", 1, |person| Ok(scene.scan(person)))?);
    if args.plain > 0 {
        say("building hnsw_rs");
        let graph = vectors.graph(args.plain, 2);
        let search = |person: &Person| Ok(scene.graph(&graph, person));
        searched.push(scene.timed("hnsw_rs", args.rounds, search)?);
    }
    let ways = scene.ways(&slates, &searched);
    let RecommendationArgs { rows: items, dimensions, history, .. } = *args;
    Ok(RecommendationReport { items, dimensions, history, ef: scene.ef, ways })
}

/// Measures and prints the report.
///
/// # Errors
/// As [`run`].
#[allow(clippy::print_stdout)] // what a command is for goes to standard output
pub(super) fn command(args: &RecommendationArgs) -> Result<(), BenchError> {
    let report = run(args, &mut |step| eprintln!("{step}"))?;
    let text = match args.json {
        true => serde_json::to_string(&report).unwrap_or_default(),
        false => report.to_string(),
    };
    println!("{text}");
    Ok(())
}

fn made_up((number, vector): (u32, &[f32])) -> v1::Item {
    v1::Item {
        item: number.to_string(),
        title: format!("Made-up item {number}"),
        category: vec![format!("made-up {}", number % 20)],
        creator: Some(format!("maker {}", number % 997)),
        vector: vector.to_vec(),
        ..v1::Item::default()
    }
}

/// Somebody who asks: what they took, and where that points.
struct Person {
    taken: BTreeSet<Row>,
    history: History,
    direction: Vec<f32>,
}

impl Person {
    /// Takes what is nearest to a few items.
    fn draw(
        number: u64,
        count: usize,
        vectors: &Vectors,
        index: &LiveIndex,
    ) -> Result<Self, BenchError> {
        let draws = Draws::new(SEED).stream(number);
        let rows = vectors.rows().count() as u64;
        let mut taken = BTreeSet::new();
        for taste in 0..TASTES as u64 {
            let corner = usize::try_from(draws.below(taste, rows)).unwrap_or_default();
            let corner = vectors.rows().nth(corner).unwrap_or_default();
            let near = index.search(corner, count.div_ceil(TASTES), SOUGHT, Filter::All)?;
            taken.extend(near.into_iter().map(|hit| hit.row));
        }
        let touch = |row: &Row| Touch { item: id(*row), weight: 1.0, at: UnixMillis(0) };
        let history = History { explicit: taken.iter().map(touch).collect(), ..History::default() };
        let direction = pooled(vectors, &taken);
        Ok(Self { taken, history, direction })
    }

    fn keeps(&self, row: Row) -> bool {
        !self.taken.contains(&row)
    }
}

fn id(row: Row) -> ItemId {
    // INVARIANT: digits alone are an id.
    ItemId::new(row.to_string()).unwrap_or_else(|_| unreachable!("digits are an id"))
}

/// The unit vector of the sum: what a node asks the index for.
fn pooled(vectors: &Vectors, taken: &BTreeSet<Row>) -> Vec<f32> {
    let mut sum = vec![0.0_f32; vectors.space().dimensions];
    for (_, vector) in (0..).zip(vectors.rows()).filter(|(row, _)| taken.contains(row)) {
        sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }
    let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    sum.iter_mut().for_each(|value| *value /= length.max(f32::MIN_POSITIVE));
    sum
}

/// What all ways are asked about.
struct Scene<'a> {
    vectors: &'a Vectors,
    index: &'a LiveIndex,
    ef: usize,
    people: &'a [Person],
}

/// What one way found, and how long it took for each person, µs.
struct Searched {
    engine: &'static str,
    found: Vec<Vec<Row>>,
    took_us: Vec<f64>,
}

impl Scene<'_> {
    fn own(&self, person: &Person) -> Result<Vec<Row>, BenchError> {
        let keep = |row: Row| person.keeps(row);
        let hits = self.index.search(&person.direction, SOUGHT, self.ef, Filter::Where(&keep))?;
        Ok(hits.into_iter().map(|hit| hit.row).collect())
    }

    fn scan(&self, person: &Person) -> Vec<Row> {
        self.vectors.scan(&person.direction, SOUGHT, &|row| person.keeps(row))
    }

    fn graph(&self, graph: &Graph<'_>, person: &Person) -> Vec<Row> {
        graph.search(&person.direction, SOUGHT, SOUGHT, &|row| person.keeps(row))
    }

    /// The microseconds of everybody's slate.
    fn slates(&self, shelf: &ShelfView<'_>, rounds: u32) -> Vec<f64> {
        let asked = Asked::new();
        let slate = |person: &Person| asked.slate(shelf, person);
        self.people.iter().map(|person| best_of(rounds, || slate(person)).1).collect()
    }

    fn timed(
        &self,
        engine: &'static str,
        rounds: u32,
        search: impl Fn(&Person) -> Result<Vec<Row>, BenchError>,
    ) -> Result<Searched, BenchError> {
        let (mut found, mut took_us) = (Vec::new(), Vec::new());
        for person in self.people {
            let (rows, took) = best_of(rounds, || search(person));
            found.push(rows?);
            took_us.push(took);
        }
        Ok(Searched { engine, found, took_us })
    }

    fn ways(&self, slates: &[f64], searched: &[Searched]) -> Vec<Way> {
        let Some([own, exact]) = searched.first_chunk() else { return Vec::new() };
        let way = |way: &Searched| {
            let others = slates.iter().zip(&own.took_us).zip(&way.took_us);
            Way {
                engine: way.engine,
                recall: recall(&way.found, &exact.found),
                search: Times::of(way.took_us.clone()),
                recommendation: Times::of(
                    others.map(|((all, own), way)| all - own + way).collect(),
                ),
            }
        };
        searched.iter().map(way).collect()
    }
}

/// What is asked, in words that a node is asked with.
struct Asked {
    decision: Decision,
    query: RecommendQuery,
    location: Jurisdiction,
}

impl Asked {
    fn new() -> Self {
        // INVARIANT: constants; a test makes slates by them.
        let place = || Jurisdiction::new(HOME).unwrap_or_else(|_| unreachable!("a jurisdiction"));
        let asking = Asking {
            age_band: AgeBand::Adult,
            consent: Consent::Granted,
            ..Asking::anonymous(Service::General)
        };
        let on = jiff::Zoned::now().date();
        let inputs = Inputs { on, home: place(), location: place(), asking };
        let limited = v1::RecommendRequest { limit: Some(SLATE), ..Default::default() };
        let query = validate::recommend(limited).unwrap_or_else(|_| unreachable!("a request"));
        Self { decision: decide(&default_packs(), &inputs), query, location: place() }
    }

    /// Items of a slate.
    fn slate(&self, shelf: &ShelfView<'_>, person: &Person) -> usize {
        let request = Request {
            decision: &self.decision,
            query: &self.query,
            now: UnixMillis(1),
            location: &self.location,
            age: 18,
            history: &person.history,
            popular: &[],
            objectives: Objectives::default(),
            exploration_share_max: Ratio::ZERO,
            draws: Draws::new(SEED),
        };
        recommend(&request, shelf).items.len()
    }
}

/// What came of the last round, and the microseconds of the fastest.
fn best_of<T>(rounds: u32, mut work: impl FnMut() -> T) -> (T, f64) {
    let mut timed = || {
        let began = Instant::now();
        let made = std::hint::black_box(work());
        (made, began.elapsed().as_secs_f64() * 1e6)
    };
    let first = timed();
    (1..rounds).fold(first, |(_, least), _| {
        let (made, took) = timed();
        (made, took.min(least))
    })
}

fn recall(found: &[Vec<Row>], exact: &[Vec<Row>]) -> f64 {
    let hits = |(found, exact): (&Vec<Row>, &Vec<Row>)| {
        found.iter().filter(|row| exact.contains(row)).count()
    };
    let all: usize = exact.iter().map(Vec::len).sum();
    found.iter().zip(exact).map(hits).sum::<usize>() as f64 / all.max(1) as f64
}

impl Times {
    fn of(mut took_us: Vec<f64>) -> Self {
        took_us.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| {
            took_us.get((took_us.len() * percent / 100).min(took_us.len().saturating_sub(1)))
        };
        let [p50_us, p99_us] = [50, 99].map(|percent| at(percent).copied().unwrap_or_default());
        Self { p50_us, p99_us }
    }
}

impl fmt::Display for RecommendationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, dimensions, history, ef, ways } = self;
        writeln!(
            f,
            "slates of {SLATE} over {items} items of {dimensions} values, histories of {history}, {SOUGHT} sought, ef \
             {ef}, one thread, µs"
        )?;
        writeln!(
            f,
            "{:<24}{:>8}{:>13}{:>9}{:>15}{:>9}{:>14}",
            "the search by", "recall", "search p50", "p99", "slate p50", "p99", "slate, ratio"
        )?;
        let own = ways.first().map_or(1.0, |own| own.recommendation.p50_us);
        for Way { engine, recall, search, recommendation } in ways {
            writeln!(
                f,
                "{engine:<24}{recall:>8.3}{:>13.0}{:>9.0}{:>15.0}{:>9.0}{:>13.1}x",
                search.p50_us,
                search.p99_us,
                recommendation.p50_us,
                recommendation.p99_us,
                recommendation.p50_us / own,
            )?;
        }
        write!(f, "slates by others are reckoned: a slate, less this index's search, more theirs")
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::ranking::Shelf as _;

    use super::*;

    #[test]
    fn slates_are_whole_and_every_way_finds_what_is_near() {
        let args = RecommendationArgs {
            rows: 2000,
            dimensions: 16,
            people: 5,
            history: 8,
            plain: 40,
            rounds: 1,
            json: false,
        };
        let report = run(&args, &mut |_| ()).unwrap();
        let names: Vec<&str> = report.ways.iter().map(|way| way.engine).collect();
        assert_eq!(names, ["bailiwick", "a look at every vector", "hnsw_rs"]);
        assert_eq!(report.ways[1].recall, 1.0);
        assert!(report.ways.iter().all(|way| way.recall > 0.8), "{report}");
        assert!(report.to_string().lines().count() == 6);
    }

    #[test]
    fn a_slate_is_made_as_for_somebody_who_agreed() {
        let vectors = Vectors::clustered(500, 16, 1).unwrap();
        let items = (0..).zip(vectors.rows()).map(made_up).collect();
        let catalogue = Catalogue::alone(Some(vectors.space()), items);
        let index = catalogue.index().unwrap();
        let person = Person::draw(0, 8, &vectors, &index).unwrap();
        let asked = Asked::new();
        assert_eq!(asked.decision.variant.to_string(), "profile_std");
        assert_eq!(asked.slate(&catalogue.view(), &person), SLATE as usize);
        let direct = catalogue.view().vector(0).map(<[f32]>::len);
        assert_eq!(direct, Some(16));
    }
}
