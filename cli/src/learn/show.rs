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
    let v1::LearnedModel {
        sha256,
        items,
        dimensions,
        people,
        rounds,
        learned_at,
        domains,
        blend,
        ..
    } = model;
    let domains = domains.join(" ");
    format!(
        "{what}: {sha256}\n  learned {learned_at} from {people} people of {domains} in {rounds} rounds; \
         {items} items, {dimensions} dimensions\n{}",
        blend.map(weights).unwrap_or_default()
    )
}

/// What a model's parts weigh, and who found it best.
fn weights(blend: v1::LearnedBlend) -> String {
    let v1::LearnedBlend { spectral, lists, judges, ndcg, recall, .. } = blend;
    let mut line = format!("  weights: spectral part {spectral:.2}, lists {lists:.3}");
    let _ = match judges {
        0 => write!(line, ", as by default"),
        _ => write!(line, ", judged by {judges} people (recall@20 {recall:.4}, ndcg@20 {ndcg:.4})"),
    };
    line.push('\n');
    line
}

/// What was told of people.
fn privacy(ledger: &v1::PrivacyLedger) -> String {
    let noisy = ledger.spent.iter().filter(|spent| spent.epsilon.is_some()).count();
    let without = ledger.spent.len() - noisy;
    let mut text = String::new();
    if noisy > 0 {
        let v1::PrivacyLedger { epsilon, delta, unit, composition, .. } = ledger;
        let _ = writeln!(
            text,
            "told in a year: epsilon {epsilon:.2} at delta {delta:e}, by {noisy} times of beginning under noise\n  \
             unit: {unit}; {composition}"
        );
    }
    if without > 0 {
        let _ = writeln!(text, "sums without noise: begun {without} times in a year");
    }
    text
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
    text.push_str(&privacy(&status.privacy.clone().unwrap_or_default()));
    if text.is_empty() {
        text.push_str("nothing was learned yet\n");
    }
    text
}
