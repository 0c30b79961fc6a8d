//! The state machine of a users group.

use std::panic::resume_unwind;
use std::sync::Arc;

use bailiwick_proto::store::UsersOutcome;
use prost::Message as _;

use super::apply::apply;
use super::outcome::{Applied, Stop};
use super::popular::Popularity;
use super::vault::Vault;
use crate::raft::machine::{AppliedAt, Change, Machine, View};
use crate::seal::SealError;

/// The state machine of a `users-<domain>-<n>` group.
#[derive(Debug)]
pub struct UsersMachine {
    vault: Arc<Vault>,
    popularity: Arc<Popularity>,
}

impl UsersMachine {
    /// A machine that opens and seals with `vault` and keeps `popularity` up to date.
    #[must_use]
    pub fn new(vault: Arc<Vault>, popularity: Arc<Popularity>) -> Self {
        Self { vault, popularity }
    }

    fn step(
        &self,
        at: AppliedAt,
        command: &[u8],
        view: &mut View<'_>,
    ) -> Result<UsersOutcome, Stop> {
        let (writes, applied) = apply(&self.vault, at, command, view)?;
        writes.commit(view)?;
        Ok(applied.into())
    }
}

impl From<Applied> for UsersOutcome {
    fn from(applied: Applied) -> Self {
        Self {
            accepted: applied.accepted,
            duplicates: applied.duplicates,
            past: applied.past,
            consent: applied.consent.map(|state| state.to_row()),
            ..Self::default()
        }
    }
}

impl Machine for UsersMachine {
    fn apply(&self, at: AppliedAt, command: &[u8], view: &mut View<'_>) -> Vec<u8> {
        let outcome = match self.step(at, command, view) {
            Ok(outcome) => outcome,
            Err(Stop::Refused(refused)) => refused.into(),
            Err(Stop::Halt(error)) => halt(&error),
        };
        outcome.encode_to_vec()
    }

    fn refreshed(&self, change: Change<'_>, _: u64) {
        match change {
            Change::Batch(rows) => self.popularity.update(rows),
            Change::Everything(reader) => self.popularity.reload(reader),
        }
    }
}

/// This replica lacks a key that the others have: going on would make it differ from them, and an
/// outcome can't say so, since outcomes are the same everywhere. Unwinding out of the apply task throws
/// the batch away and ends the process, as a failing store does; it can start again once the operator
/// has brought the key. [`super::admit`] keeps commands under unknown keys out of the log.
fn halt(error: &SealError) -> ! {
    tracing::error!(%error, "this replica stops: it can't open what the others can");
    resume_unwind(Box::new(error.to_string()))
}
