//! Runs of learning, and the models that came of them: what must survive their coordinator.

use bailiwick_core::learning::{DELTA, EPSILON};
use bailiwick_proto::store::control_row::Row;
use bailiwick_proto::store::{
    ActivateModel, ControlRow, LearningOptions, LearningPhase, LearningRun, ModelManifest, Models,
    NoteCheckpoint, NoteLearning, RollBackModel, StartLearning,
};
use prost::Message as _;

use super::machine::{Key, put};
use crate::raft::machine::View;

/// Models that are kept besides the one that is served.
const BEFORE_MAX: usize = 2;
/// Bytes of words that a coordinator may leave.
const WHY_BYTES_MAX: usize = 512;
/// Fewer people may not stand behind a sum, whatever is asked for.
const PEOPLE_MIN: u32 = 20;
/// Bytes of a run's id, and of a model's hash.
const RUN_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

pub(super) fn row(view: &View<'_>, key: Key<'_>) -> Option<Row> {
    view.get(&key.bytes()).and_then(|row| ControlRow::decode(row).ok()?.row)
}

fn run_of(view: &View<'_>) -> Option<LearningRun> {
    match row(view, Key::Learning) {
        Some(Row::Learning(run)) => Some(run),
        _ => None,
    }
}

fn models_of(view: &View<'_>) -> Models {
    match row(view, Key::Models) {
        Some(Row::Models(models)) => models,
        _ => Models::default(),
    }
}

/// An option of a run that is out of bounds.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} is {found}, it must be {least} to {most}")]
pub struct OutOfBounds {
    /// The option.
    pub field: &'static str,
    found: f64,
    least: f64,
    most: f64,
}

/// Whether a run may have these options.
///
/// # Errors
/// [`OutOfBounds`] of the first that is.
pub fn check_options(options: &LearningOptions) -> Result<(), OutOfBounds> {
    within("dimensions", options.dimensions, 8, 512)?;
    within("rounds", options.rounds, 1, 10_000)?;
    within("people_min", options.people_min, PEOPLE_MIN, u32::MAX)?;
    if let Some(epsilon) = options.epsilon {
        within("epsilon", epsilon, *EPSILON.start(), *EPSILON.end())?;
        within("delta", options.delta(), *DELTA.start(), *DELTA.end())?;
    }
    within("balance", options.balance, 0.0, 1.0)
}

fn within<N: Copy + PartialOrd + Into<f64>>(
    field: &'static str,
    found: N,
    least: N,
    most: N,
) -> Result<(), OutOfBounds> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    let [found, least, most] = [found, least, most].map(Into::into);
    Err(OutOfBounds { field, found, least, most })
}

/// Begins a run.
pub(super) fn start(start: StartLearning, at_ms: i64, view: &mut View<'_>) -> Result<(), String> {
    if start.run.len() != RUN_BYTES {
        return Err(format!("a run's id has {RUN_BYTES} bytes"));
    }
    check_options(&start.options.unwrap_or_default()).map_err(|wrong| wrong.to_string())?;
    match run_of(view) {
        // Proposed twice.
        Some(known) if known.run == start.run => Ok(()),
        Some(known) if known.phase() == LearningPhase::Running => {
            Err("a run of learning is under way".into())
        }
        _ => {
            let run = LearningRun {
                run: start.run,
                options: start.options,
                phase: LearningPhase::Running.into(),
                started_ms: at_ms,
                changed_ms: at_ms,
                ..LearningRun::default()
            };
            put(view, Key::Learning, Row::Learning(run))
        }
    }
}

pub(super) fn running(view: &View<'_>, run: &[u8]) -> Result<LearningRun, String> {
    run_of(view)
        .filter(|known| known.run == run && known.phase() == LearningPhase::Running)
        .ok_or_else(|| "this run of learning is not under way".into())
}

/// Takes note of how far a run is.
pub(super) fn note(note: NoteLearning, at_ms: i64, view: &mut View<'_>) -> Result<(), String> {
    let told = note.run.ok_or("there is no run")?;
    let known = running(view, &told.run)?;
    if told.why.len() > WHY_BYTES_MAX {
        return Err(format!("why has {} bytes, at most {WHY_BYTES_MAX}", told.why.len()));
    }
    let goes_on = told.phase() == LearningPhase::Running;
    let run = LearningRun {
        options: known.options,
        started_ms: known.started_ms,
        changed_ms: at_ms,
        checkpoint: known.checkpoint.filter(|_| goes_on),
        asked: known.asked.max(told.asked),
        ..told
    };
    put(view, Key::Learning, Row::Learning(run))
}

/// Names what the run's next coordinator goes on with.
pub(super) fn note_checkpoint(
    note: NoteCheckpoint,
    at_ms: i64,
    view: &mut View<'_>,
) -> Result<(), String> {
    let known = running(view, &note.run)?;
    let checkpoint = note.checkpoint.ok_or("there is no checkpoint")?;
    if checkpoint.sha256.len() != HASH_BYTES || checkpoint.length == 0 {
        return Err("the checkpoint's name is not well-formed".into());
    }
    let run = LearningRun { checkpoint: Some(checkpoint), changed_ms: at_ms, ..known };
    put(view, Key::Learning, Row::Learning(run))
}

/// Ends a run with the model that came of it, which is served from now on.
pub(super) fn activate(
    activate: ActivateModel,
    at_ms: i64,
    view: &mut View<'_>,
) -> Result<(), String> {
    let manifest = activate.manifest.ok_or("there is no manifest")?;
    check_manifest(&manifest)?;
    let known = running(view, &manifest.run)?;
    let done = LearningRun {
        phase: LearningPhase::Done.into(),
        done: manifest.rounds,
        why: String::new(),
        changed_ms: at_ms,
        checkpoint: None,
        ..known
    };
    let mut models = models_of(view);
    models.before.retain(|model| model.sha256 != manifest.sha256);
    models.before.extend(models.active.take().filter(|m| m.sha256 != manifest.sha256));
    let surplus = models.before.len().saturating_sub(BEFORE_MAX);
    models.before.drain(..surplus);
    models.active = Some(manifest);
    put(view, Key::Models, Row::Models(models))?;
    put(view, Key::Learning, Row::Learning(done))
}

fn check_manifest(manifest: &ModelManifest) -> Result<(), String> {
    let whole = manifest.sha256.len() == HASH_BYTES && manifest.length > 0 && manifest.items > 0;
    whole.then_some(()).ok_or_else(|| "the manifest is not well-formed".into())
}

/// Serves the model before again.
pub(super) fn roll_back(roll_back: &RollBackModel, view: &mut View<'_>) -> Result<(), String> {
    let mut models = models_of(view);
    let active = models.active.as_ref().map(|model| model.sha256.as_slice());
    if active != Some(roll_back.from.as_slice()) {
        return Err("another model is served by now".into());
    }
    let before = models.before.pop().ok_or("there is no model before this one")?;
    models.active = Some(before);
    put(view, Key::Models, Row::Models(models))
}
