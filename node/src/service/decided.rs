//! A record of each decision, before anything is answered.

use bailiwick_core::policy::{Asking, Decision, Gpc, HomeReach};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::{DecidedPack, DecisionRecord, ExploredItem};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::State;
use super::caller::Caller;
use crate::decisions;

impl State {
    /// Logs a decision and returns the id that the answer names.
    pub(super) fn log_decision(
        &self,
        operation: &str,
        caller: &Caller,
        asking: &Asking,
        decision: &Decision,
    ) -> Result<LogId, Failure> {
        let mut log_id = LogId([0; 16]);
        let drawn = self.entropy.fill(&mut log_id.0);
        drawn.map_err(|error| Failure::new(error.kind(), error.to_string()))?;
        let at_home = decision.home_domain.as_ref() == Some(self.domain());
        // Logged elsewhere than at home, a decision names no subject.
        let person = caller.person().filter(|_| at_home);
        let row_key = person.map(|(issuer, subject)| self.people.key(issuer, subject));
        self.decisions.write(DecisionRecord {
            format: decisions::FORMAT,
            at_ms: (self.clock)().0,
            log_id: log_id.0.to_vec(),
            operation: operation.to_owned(),
            row_key: row_key.map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
            home: caller.home().to_string(),
            location: caller.location.to_string(),
            service: asking.service.to_string(),
            age_band: asking.age_band.to_string(),
            consent: asking.consent.to_string(),
            toggle: asking.toggle.to_string(),
            sensitive: asking.sensitive.to_string(),
            gpc: asking.gpc == Gpc::Sent,
            home_unreachable: asking.reach == HomeReach::Unreachable,
            packs: decision.packs.iter().map(decided_pack).collect(),
            variant: decision.variant.to_string(),
            profile_read: decision.profile_read.to_string(),
            event_store: decision.event_store.to_string(),
            reason_codes: decision.reasons.iter().map(|reason| reason.to_string()).collect(),
            explored: Vec::new(),
        })?;
        Ok(log_id)
    }

    /// Logs what chance brought into a decision's answer, before the answer goes out. This log is the only place
    /// that learns how likely it was.
    pub(super) fn log_explored(
        &self,
        log_id: &LogId,
        explored: Vec<ExploredItem>,
    ) -> Result<(), Failure> {
        if explored.is_empty() {
            return Ok(());
        }
        self.decisions.write(explored_record(log_id, (self.clock)().0, explored))
    }
}

/// The id by which an answer names its decision: random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogId([u8; 16]);

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// Names no person: the decision's own record does, where it may.
fn explored_record(log_id: &LogId, at_ms: i64, explored: Vec<ExploredItem>) -> DecisionRecord {
    DecisionRecord {
        format: decisions::FORMAT,
        at_ms,
        log_id: log_id.0.to_vec(),
        operation: "explored".to_owned(),
        explored,
        ..DecisionRecord::default()
    }
}

fn decided_pack(pack: &bailiwick_core::policy::PackRef) -> DecidedPack {
    DecidedPack { pack: pack.pack.to_string(), version: pack.version, hash: pack.hash.to_string() }
}
