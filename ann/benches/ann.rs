//! Runs `bailiwick_ann::bench` from the command line.
//!
//! `cargo bench -p bailiwick-ann -- synthetic 200000 64 out/` or `-- text <folder> cosine out/` or
//! `-- raw <folder> 64 cosine out/`; further words: `plain=200` (hnsw_rs alone at that
//! ef_construction), `peers=<script>`, `filtered`, `rounds=5`, `efs=10,20,40`.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_ann::bench::{Config, Source, run};
use bailiwick_ann::{Metric, Options};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|w| !w.starts_with("--")).collect();
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
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
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
    let efs = after("efs=").unwrap_or("10,14,20,28,40,56,80,120,160,240,400");
    let config = Config {
        source,
        queries: 1000,
        rounds: after("rounds=").and_then(|n| n.parse().ok()).unwrap_or(5),
        efs: efs.split(',').filter_map(|ef| ef.parse().ok()).collect(),
        plain_ef_construction: after("plain=").and_then(|ef| ef.parse().ok()),
        peers: after("peers=").map(PathBuf::from),
        filtered: rest.contains(&"filtered"),
        options: Options::default(),
    };
    Some((config, PathBuf::from(out)))
}
