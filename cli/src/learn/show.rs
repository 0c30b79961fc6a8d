//! Learning's state in words.

use std::fmt::Write as _;

use bailiwick_proto::v1;

/// How far a run is, in a line.
pub(super) fn progress(run: &v1::LearningRun) -> String {
    let v1::LearningRun { phase, done, rounds, attempts, items, domains, why, .. } = run;
    let mut line = format!("{phase}: round {done} of {rounds}, {items} items");
    if !domains.is_empty() {
        let _ = write!(line, ", {}", domains.join(" "));
    }
    if *attempts > 1 {
        let _ = write!(line, ", met {attempts} times");
    }
    if let Some(why) = why {
        let _ = write!(line, " ({why})");
    }
    line
}

fn model(what: &str, model: &v1::LearnedModel) -> String {
    let v1::LearnedModel { sha256, items, dimensions, people, rounds, learned_at, domains, .. } =
        model;
    let domains = domains.join(" ");
    format!(
        "{what}: {sha256}\n  learned {learned_at} from {people} people of {domains} in {rounds} rounds; \
         {items} items, {dimensions} dimensions\n"
    )
}

/// All of it.
pub(super) fn status(status: &v1::LearningStatus) -> String {
    let mut text = String::new();
    if let Some(run) = &status.run {
        text.push_str(&progress(run));
        text.push('\n');
    }
    if let Some(active) = &status.active {
        text.push_str(&model("served", active));
        let serving = status.nodes.iter().filter(|n| n.sha256.as_ref() == Some(&active.sha256));
        let _ = writeln!(text, "  by {} of {} nodes", serving.count(), status.nodes.len());
    }
    if let Some(before) = &status.before {
        text.push_str(&model("before", before));
    }
    if text.is_empty() {
        text.push_str("nothing was learned yet\n");
    }
    text
}
