//! A small split of two tastes, evaluated from files to report.

use std::fmt::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::bootstrap::mean_with_interval;
use super::*;

fn write(directory: &Path, name: &str, rows: impl Iterator<Item = (u32, u32)>) {
    let mut text = "user\titem\n".to_owned();
    rows.for_each(|(user, item)| writeln!(text, "{user}\t{item}").unwrap());
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    std::fs::write(directory.join(name), file.finish().unwrap()).unwrap();
}

/// 60 people of two tastes of 12 items each: each took 6 of their taste, 2 are kept back.
fn two_tastes() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let taken = |user: u32, at: u32| (user % 2) * 12 + (user * 5 + at * at) % 12;
    let pairs = |from: u32, to: u32| {
        (0..60).flat_map(move |user| {
            let all: std::collections::BTreeSet<u32> = (0..9).map(|at| taken(user, at)).collect();
            all.into_iter()
                .skip(from as usize)
                .take((to - from) as usize)
                .map(move |item| (user, item))
        })
    };
    write(directory.path(), "train.tsv.gz", pairs(0, 3));
    write(directory.path(), "test.tsv.gz", pairs(3, 6));
    directory
}

fn args(path: &Path) -> EvalArgs {
    EvalArgs {
        path: path.to_owned(),
        in_process: false,
        central: false,
        domains: Some(2),
        cluster: false,
        rounds: None,
        dimensions: None,
        threads: Some(2),
        every: 1,
        seed: 1,
        held_out: None,
        sweep: false,
        epsilon: Vec::new(),
        balance: 0.0,
        against: Vec::new(),
        svg: None,
        json: true,
    }
}

/// Whoever is of one taste is shown that taste, whether the data was pooled or stayed in two domains; and
/// what is printed holds what readers of it rely on.
#[test]
fn a_split_is_judged_from_files_to_report() {
    let directory = two_tastes();
    let domain_wise = args(directory.path());
    for args in [domain_wise.clone(), EvalArgs { central: true, ..domain_wise }] {
        let report = run(&args, |_| ()).unwrap();
        let (full, popular) = (&report.variants["profile_std"], &report.variants["popular_k"]);
        assert!(full.ndcg > popular.ndcg && full.ndcg > 0.3, "{report}");
        let json: Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        let figures = &json["variants"]["profile_std"];
        for name in ["recall@20", "ndcg@20", "coverage", "intra_list_diversity", "gini", "novelty"]
        {
            assert!(figures[name].is_f64(), "{name}: {figures}");
        }
        let [low, high] = [0, 1].map(|at| figures["ndcg@20_interval"][at].as_f64().unwrap());
        assert!(low <= full.ndcg && full.ndcg <= high && low < high, "{figures}");
        assert!(json["learn_seconds"].is_f64());
        assert_eq!(json["domains"].as_object().unwrap().len(), args.domain_count());
    }
}

/// Without a word of how, a split goes through a cluster of real parts: a small one too, with somebody who took nothing
/// yet and a row that names nobody's item. Whoever is of one taste is shown it by what the domains learned together.
#[test]
fn a_small_split_goes_through_a_cluster() {
    let directory = two_tastes();
    let mut test = "user\titem\n60\t3\n\n".to_owned();
    for user in 0..60 {
        let taken: std::collections::BTreeSet<u32> =
            (0..9).map(|at| (user % 2) * 12 + (user * 5 + at * at) % 12).collect();
        for item in taken.into_iter().skip(3) {
            writeln!(test, "{user}\t{item}").unwrap();
        }
    }
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut file, test.as_bytes()).unwrap();
    std::fs::write(directory.path().join("test.tsv.gz"), file.finish().unwrap()).unwrap();
    let plain = args(directory.path());
    let args = EvalArgs { domains: None, threads: None, dimensions: Some(16), ..plain };
    assert!(!args.is_in_process());
    let mut said = Vec::new();
    let report = run(&args, |line| said.push(line.to_owned())).unwrap();
    let full = &report.variants["profile_std"];
    assert_eq!(full.people, 61, "who only comes up in the test is asked for too");
    assert!(full.ndcg > 0.3, "{report}");
    assert!(full.answered["profile_std"] > 50, "{report}");
    for name in ["session_only", "contextual", "popular_k"] {
        assert!(report.variants.contains_key(name), "{report}");
    }
    let json: Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    for took in [&json["load"], &json["ask"]] {
        assert!(took["seconds"].as_f64().unwrap() > 0.0, "{json}");
    }
    assert!(json["learn_seconds"].is_f64() && json["learn"]["sent_bytes"].is_u64(), "{json}");
    assert_eq!(json["domains"].as_object().unwrap().len(), 3);
    assert!(said.iter().any(|line| line == "profile_std: 61 of 61 slates"), "{said:?}");
}

#[test]
fn what_only_a_process_can_do_needs_no_cluster() {
    let plain = EvalArgs { domains: None, threads: None, ..args(Path::new("nowhere")) };
    let implied = |args: EvalArgs| args.is_in_process();
    assert!(!implied(plain.clone()));
    assert!(implied(EvalArgs { in_process: true, ..plain.clone() }));
    assert!(implied(EvalArgs { central: true, ..plain.clone() }));
    assert!(implied(EvalArgs { epsilon: vec![1.0], ..plain.clone() }));
    assert!(implied(EvalArgs { sweep: true, ..plain.clone() }));
    assert!(implied(EvalArgs { balance: 0.5, ..plain.clone() }));
    assert!(implied(EvalArgs { held_out: Some(0.2), ..plain.clone() }));
    assert!(!implied(EvalArgs { held_out: Some(0.2), cluster: true, ..plain }));
}

#[test]
fn a_split_without_test_items_is_refused() {
    let directory = two_tastes();
    write(directory.path(), "test.tsv.gz", std::iter::empty());
    assert!(matches!(run(&args(directory.path()), |_| ()), Err(EvalError::NoTest)));
    std::fs::remove_file(directory.path().join("train.tsv.gz")).unwrap();
    assert!(matches!(run(&args(directory.path()), |_| ()), Err(EvalError::Data(_))));
}

/// Without floors nothing is lost; a floor that is asked for is reached, or slates say that it is not.
#[test]
fn the_floors_cost_is_swept_and_plotted() {
    let directory = two_tastes();
    let svg = directory.path().join("floors.svg");
    let args =
        EvalArgs { sweep: true, svg: Some(svg.clone()), json: false, ..args(directory.path()) };
    command(&args).unwrap();
    let picture = std::fs::read_to_string(&svg).unwrap();
    assert_eq!(picture.matches("<polyline").count(), 5, "{picture}");
    let sweep = run(&args, |_| ()).unwrap().sweep.unwrap();
    let first = &sweep.diversity[0];
    assert_eq!((first.ndcg_loss, first.unmet), (0.0, 0.0), "{sweep}");
    for point in sweep.diversity.iter().chain(&sweep.local) {
        let kept = point.local_reached > point.local - 1e-6
            && point.diversity_reached > point.diversity - 1e-6;
        assert!(kept || point.unmet > 0.0, "{sweep}");
    }
    // One item of four is local, and a slate holds nearly all of so small a catalogue.
    let half = &sweep.local[5];
    assert!(half.local == 0.5 && half.local_reached < 0.5 && half.unmet == 1.0, "{sweep}");
    for points in
        [&sweep.objectives.calibration, &sweep.objectives.freshness, &sweep.objectives.creators]
    {
        let (first, last) = (&points[0], &points[points.len() - 1]);
        assert_eq!(first.ndcg_loss, 0.0, "{sweep}");
        assert!(last.reached <= first.reached, "the knob moves what it is for: {sweep}");
    }
    let nowhere = EvalArgs { svg: Some(directory.path().join("no/f.svg")), ..args };
    assert!(matches!(command(&nowhere), Err(EvalError::Svg { .. })));
}

/// Where ages are told, adults alone are learned from and judged; groups are told, small ones together.
#[test]
fn groups_are_judged_where_they_are_told() {
    let directory = two_tastes();
    let mut text = "user\tcountry\tage\n".to_owned();
    for user in 0..60 {
        let (country, age) = match user {
            0..25 => ("DE", "30"),
            25..46 => ("US", "70"),
            46..50 => ("FR", "20"),
            50..55 => ("US", "12"),
            _ => ("", ""),
        };
        writeln!(text, "{user}\t{country}\t{age}").unwrap();
    }
    let told = directory.path().join("users.tsv.gz");
    let write = |text: &str| {
        let mut file = GzEncoder::new(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        std::fs::write(&told, file.finish().unwrap()).unwrap();
    };
    write(&text);
    let report = run(&args(directory.path()), |_| ()).unwrap();
    assert_eq!(
        report.variants["profile_std"].people, 50,
        "minors and those of unknown age are not judged"
    );
    let people = |by: &str, group: &str| report.groups.0[by].get(group).map(|group| group.people);
    assert_eq!(
        [people("country", "DE"), people("country", "US"), people("country", "FR")],
        [Some(25), Some(21), None]
    );
    assert_eq!(
        [people("age", "25-34"), people("age", "65+"), people("age", "18-24")],
        [Some(25), Some(21), None]
    );
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["groups"]["country"]["DE"]["ndcg@20"].is_f64(), "{json}");
    assert!(report.to_string().contains("65+"));
    write(&text.replace("\t70", "\told"));
    let wrong = run(&args(directory.path()), |_| ()).unwrap_err().to_string();
    assert!(wrong.contains("users.tsv.gz") && wrong.contains("age"), "{wrong}");
}

/// Slates that know the test side are better for sure; empty ones are worse; one's own items are level with themselves.
#[test]
fn slates_of_others_are_compared_person_by_person() {
    let directory = two_tastes();
    let split = Split::read(directory.path()).unwrap();
    let of = |taken: &dyn Fn(usize) -> Vec<u32>| {
        let pairs = split
            .people()
            .flat_map(|person| taken(person).into_iter().map(move |i| (person as u32, i)));
        pairs.collect::<Vec<_>>()
    };
    let knowing = of(&|person| split.test(person).to_vec());
    write(directory.path(), "knowing.tsv.gz", knowing.into_iter());
    write(directory.path(), "empty.tsv.gz", std::iter::empty());
    let against =
        ["knowing", "empty"].map(|name| directory.path().join(format!("{name}.tsv.gz"))).to_vec();
    let args = EvalArgs { against: against.clone(), ..args(directory.path()) };
    let report = run(&args, |_| ()).unwrap();
    let [knowing, empty] = [0, 1].map(|at| &report.against.0[&against[at].display().to_string()]);
    let ours = report.variants["profile_std"].ndcg;
    assert!(
        (knowing.ndcg - 1.0).abs() < 1e-9 && knowing.ndcg_difference.interval[1] < 0.0,
        "{report}"
    );
    assert!(empty.ndcg == 0.0 && (empty.ndcg_difference.mean - ours).abs() < 1e-9, "{report}");
    assert!(empty.recall_difference.interval[0] > 0.0, "{report}");
    write(directory.path(), "empty.tsv.gz", std::iter::once((60, 1)));
    let wrong = run(&args, |_| ()).unwrap_err().to_string();
    assert!(wrong.contains("empty.tsv.gz") && wrong.contains("user"), "{wrong}");
}

/// What is held out is not learned from, whatever the test side has.
#[test]
fn a_share_of_the_train_side_can_be_held_out() {
    let split = Split::read(two_tastes().path()).unwrap();
    let held = split.clone().held_out(0.4, 7);
    for person in split.people() {
        let mut both = [held.train(person), held.test(person)].concat();
        both.sort_unstable();
        assert_eq!(both, split.train(person), "each item is on one side");
    }
    let count =
        |side: fn(&Split, usize) -> usize| held.people().map(|p| side(&held, p)).sum::<usize>();
    let (train, test) = (count(|s, p| s.train(p).len()), count(|s, p| s.test(p).len()));
    assert!((40..104).contains(&test) && train + test == 180, "{train} {test}");
}

/// The more a run may tell, the more items stand out from its noise.
#[test]
fn privacy_costs_and_is_plotted() {
    let directory = two_tastes();
    let svg = directory.path().join("privacy.svg");
    let (epsilon, svg_file) = (vec![0.1, 1000.0], Some(svg.clone()));
    let dimensions = Some(8);
    let args = EvalArgs { epsilon, dimensions, svg: svg_file, ..args(directory.path()) };
    command(&args).unwrap();
    let picture = std::fs::read_to_string(&svg).unwrap();
    assert_eq!(picture.matches("<polyline").count(), 2, "{picture}");
    let privacy = run(&args, |_| ()).unwrap().privacy.unwrap();
    let [little, much] = &privacy.0[..] else { panic!("{privacy}") };
    assert!(little.deviation > 100.0 * much.deviation, "{privacy}");
    assert!(little.items_known < much.items_known, "{privacy}");
    assert!(much.ndcg_loss < 0.5, "{privacy}");
    let wrong = EvalArgs { epsilon: vec![0.0], ..args };
    assert!(matches!(run(&wrong, |_| ()), Err(EvalError::Learning(_))));
}

/// The interval of a mean of n values of deviation 1 is about 1.96 / sqrt(n) to either side.
#[test]
fn intervals_are_as_wide_as_they_should_be() {
    let values: Vec<f64> = (0..400).map(|at| if at % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let (mean, [low, high]) = mean_with_interval(&values, 3);
    assert_eq!(mean, 0.0);
    assert!((0.08..0.12).contains(&high) && (-0.12..-0.08).contains(&low), "{low} {high}");
    assert_eq!(mean_with_interval(&[], 3), (0.0, [0.0, 0.0]));
}
