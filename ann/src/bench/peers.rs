//! Engines of other languages, in one child process that answers line by line: so they take their
//! turn in the same rounds as ours, while no time of the conversation counts.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::json;

use super::BenchError;
use super::data::{K, Set};
use super::engine::{Engine, Pass};
use crate::space::Metric;

/// The other end of the conversation.
struct Process {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn ask<T: for<'a> Deserialize<'a>>(
        &mut self,
        question: &serde_json::Value,
    ) -> Result<T, BenchError> {
        let bad = |why: String| BenchError::Peers { why };
        writeln!(self.ask, "{question}").map_err(|e| bad(e.to_string()))?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|e| bad(e.to_string()))?;
        serde_json::from_str(&line).map_err(|e| bad(format!("{e} in `{}`", line.trim())))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Told to go, then waited for; if it is gone already there is nobody to tell.
        _ = writeln!(self.ask, "{}", json!({ "op": "end" }));
        _ = self.child.wait();
    }
}

#[derive(Deserialize)]
struct Engines {
    engines: Vec<String>,
}

#[derive(Deserialize)]
struct Built {
    bytes: f64,
    cpu_s: f64,
}

#[derive(Deserialize)]
struct Answered {
    /// None when the engine can't do this.
    cpu_us: Option<f64>,
    found: Vec<Vec<i64>>,
}

pub(crate) struct Peer {
    process: Rc<RefCell<Process>>,
    name: String,
    bytes: f64,
    cpu_s: f64,
}

/// Starts the script, hands it the set, and has it build what it can.
pub(crate) fn start(
    script: &Path,
    set: &Set,
    progress: &dyn Fn(&str),
) -> Result<Vec<Peer>, BenchError> {
    let folder = std::env::temp_dir().join(format!("bailiwick-ann-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|e| BenchError::io(&folder, e))?;
    set.export(&folder)?;
    let mut process = spawn(script)?;
    let metric = match set.space.metric {
        Metric::Cosine => "cosine",
        Metric::InnerProduct => "ip",
        Metric::L2 => "l2",
    };
    let question = json!({ "op": "load", "folder": folder, "width": set.space.dimensions,
        "metric": metric, "cases": set.cases.len(), "k": K });
    let Engines { engines } = process.ask(&question)?;
    let process = Rc::new(RefCell::new(process));
    let mut peers = Vec::new();
    for name in engines {
        progress(&format!("building {name}"));
        let Built { bytes, cpu_s } =
            process.borrow_mut().ask(&json!({ "op": "build", "engine": name }))?;
        peers.push(Peer { process: Rc::clone(&process), name, bytes, cpu_s });
    }
    std::fs::remove_dir_all(&folder).map_err(|e| BenchError::io(&folder, e))?;
    Ok(peers)
}

fn spawn(script: &Path) -> Result<Process, BenchError> {
    let mut command = Command::new("python3");
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|e| BenchError::io(script, e))?;
    let (ask, answers) = (child.stdin.take(), child.stdout.take());
    let no_pipe = || BenchError::Peers { why: "it has no pipes".to_owned() };
    let answers = BufReader::new(answers.ok_or_else(no_pipe)?);
    Ok(Process { ask: ask.ok_or_else(no_pipe)?, answers, child })
}

impl Engine for Peer {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn bytes_per_vector(&self) -> f64 {
        self.bytes
    }

    fn build_cpu_s(&self) -> f64 {
        self.cpu_s
    }

    fn pass(&mut self, set: &Set, case: usize, ef: usize) -> Result<Option<Pass>, BenchError> {
        let queries = set.asked(case).count();
        let question = json!({ "op": "search", "engine": self.name, "case": case, "ef": ef,
            "queries": queries });
        let answered: Answered = self.process.borrow_mut().ask(&question)?;
        let Some(cpu_us) = answered.cpu_us else { return Ok(None) };
        let rows = |found: &Vec<i64>| found.iter().filter_map(|&r| u32::try_from(r).ok()).collect();
        let found = answered.found.iter().map(rows).collect();
        Ok(Some(Pass { found, cpu_us, ..Pass::default() }))
    }
}
