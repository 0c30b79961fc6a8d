//! Runs `bailiwick_ann::bench` from the command line.
//!
//! `cargo bench -p bailiwick-ann -- synthetic 200000 64 out/` or `-- text <folder> cosine out/` or
//! `-- raw <folder> 64 cosine out/`; `-- live <rows> <dimensions> <writes
//! a second> <seconds>`; `-- open <rows> <dimensions>`, read and mapped; further words: `plain=200` (hnsw_rs alone at that
//! ef_construction), `peers=<script>`, `filtered`, `columns` (rows of `open` with attributes), `rounded` (twelve bits a value), `rounds=5`, `index=<file>`, `refine=96` (candidates
//! for a node's links), `threads=2` (of the build), `efs=10,20,40`.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_ann::bench::{BenchError, Config, LiveConfig, OpenConfig, Source, live, open, run};
use bailiwick_ann::{Keep, Metric, Options};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|w| !w.starts_with("--")).collect();
    let progress = |what: &str| eprintln!("{what}");
    if let Some(config) = read_live(&words) {
        return finish(live(&config, &progress));
    }
    let folder = tempfile::tempdir();
    let scratch = folder.as_ref().map_or(PathBuf::new(), |folder| folder.path().join("index"));
    if let Some(config) = read_open(&words, scratch) {
        return finish(open(&config, &progress));
    }
    let Some((config, out)) = read(&words) else {
        eprintln!(
            "synthetic <rows> <dimensions> <out> | text <folder> <metric> <out> | raw <folder> <dimensions> <metric> <out>"
        );
        return ExitCode::from(2);
    };
    match run(&config, &|what| eprintln!("{what}")) {
        Ok(report) => {
            let write = |name: &str, text: String| std::fs::write(out.join(name), text);
            let written = std::fs::create_dir_all(&out)
                .and_then(|()| write("ann.json", report.json()))
                .and_then(|()| write("ann.svg", report.svg()));
            eprintln!("{}", report.table());
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => failure(&error),
    }
}

fn finish(outcome: Result<impl std::fmt::Display, BenchError>) -> ExitCode {
    match outcome {
        Ok(report) => {
            eprintln!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => failure(&error),
    }
}

fn failure(error: &BenchError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn read_live(words: &[String]) -> Option<LiveConfig> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ["live", rows, width, rate, seconds, rest @ ..] = words.as_slice() else { return None };
    let after = |key: &str| rest.iter().find_map(|word| word.strip_prefix(key));
    let merge_at = after("merge_at=").and_then(|n| n.parse().ok());
    let usual = options(&after);
    Some(LiveConfig {
        rows: rows.parse().ok()?,
        dimensions: width.parse().ok()?,
        rate: rate.parse().ok()?,
        seconds: seconds.parse().ok()?,
        ef: after("ef=").and_then(|ef| ef.parse().ok()).unwrap_or(40),
        options: Options { merge_at: merge_at.unwrap_or(usual.merge_at), ..usual },
    })
}

fn read_open(words: &[String], scratch: PathBuf) -> Option<OpenConfig> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ["open", rows, width, rest @ ..] = words.as_slice() else { return None };
    let after = |key: &str| rest.iter().find_map(|word| word.strip_prefix(key));
    let number = |key: &str, or: usize| after(key).and_then(|n| n.parse().ok()).unwrap_or(or);
    Some(OpenConfig {
        rows: rows.parse().ok()?,
        dimensions: width.parse().ok()?,
        file: after("index=").map_or(scratch, PathBuf::from),
        rounds: number("rounds=", 5),
        ef: number("ef=", 40),
        columns: rest.contains(&"columns"),
        options: Options {
            keep: if rest.contains(&"rounded") { Keep::Rounded } else { Keep::Exact },
            ..options(&after)
        },
    })
}

fn options<'a>(after: &impl Fn(&str) -> Option<&'a str>) -> Options {
    let number = |key: &str, or: usize| after(key).and_then(|w| w.parse().ok()).unwrap_or(or);
    let usual = Options::default();
    Options {
        links: number("links=", usual.links),
        ef_refine: number("refine=", usual.ef_refine),
        threads: number("threads=", usual.threads),
        ..usual
    }
}

fn read(words: &[String]) -> Option<(Config, PathBuf)> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let metric = |word: &str| match word {
        "cosine" => Some(Metric::Cosine),
        "ip" => Some(Metric::InnerProduct),
        "l2" => Some(Metric::L2),
        _ => None,
    };
    let (source, out, rest) = match words.as_slice() {
        ["synthetic", rows, width, out, rest @ ..] => {
            let (rows, dimensions) = (rows.parse().ok()?, width.parse().ok()?);
            (Source::Synthetic { rows, dimensions, seed: 1 }, out, rest)
        }
        ["text", folder, m, out, rest @ ..] => (Source::Text(folder.into(), metric(m)?), out, rest),
        ["raw", folder, width, m, out, rest @ ..] => {
            (Source::Raw(folder.into(), width.parse().ok()?, metric(m)?), out, rest)
        }
        _ => return None,
    };
    let after = |key: &str| rest.iter().find_map(|word| word.strip_prefix(key));
    let efs = after("efs=").unwrap_or("10,14,20,26,32,38,44,52,64,80,100,112,128,160,240,400");
    let config = Config {
        source,
        queries: 1000,
        rounds: after("rounds=").and_then(|n| n.parse().ok()).unwrap_or(5),
        efs: efs.split(',').filter_map(|ef| ef.parse().ok()).collect(),
        plain_ef_construction: after("plain=").and_then(|ef| ef.parse().ok()),
        peers: after("peers=").map(PathBuf::from),
        index: after("index=").map(PathBuf::from),
        filtered: rest.contains(&"filtered"),
        options: Options {
            keep: if rest.contains(&"rounded") { Keep::Rounded } else { Keep::Exact },
            ..options(&after)
        },
    };
    Some((config, PathBuf::from(out)))
}
