//! openraft's own suite on the real log and store.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use super::codec::Wire;
use super::group_machine::{GroupMachine, GroupParts, Offload};
use super::log_storage::GroupLog;
use super::machine::{AppliedAt, Change, Machine, View};
use super::types::{Command, Entry, LogId, Member, TypeConfig};
use crate::log::{LogOptions, RealDisk, SegmentLog, Syncing};
use crate::store::{DataDir, Store, StoreOptions};

/// The suite makes members from nothing; nothing else may.
impl Default for Member {
    fn default() -> Self {
        let name = "nobody".parse().unwrap();
        Self { name, domain: "nowhere".parse().unwrap(), region: "nowhere".parse().unwrap() }
    }
}

struct Ignore;

impl Machine for Ignore {
    fn apply(&self, _: AppliedAt, _: &[u8], _: &mut View<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn refreshed(&self, _: Change<'_>, _: u64) {}
}

struct Builder;

impl StoreBuilder<TypeConfig, GroupLog, GroupMachine, tempfile::TempDir> for Builder {
    async fn build(
        &self,
    ) -> Result<(tempfile::TempDir, GroupLog, GroupMachine), StorageError<TypeConfig>> {
        let scratch = tempfile::tempdir().unwrap();
        let dir =
            DataDir::open(scratch.path(), &"c".parse().unwrap(), &"n".parse().unwrap()).unwrap();
        // What the suite checks is the contract, not the device.
        let disk = Arc::new(RealDisk { syncing: Syncing::Skipped });
        let log = SegmentLog::open(disk, &dir.log(), dir.id(), LogOptions::default()).unwrap();
        let log = GroupLog::new(log, "control".parse().unwrap(), Arc::new(|_| Ok(())));
        let parts = GroupParts {
            store: Store::open(&dir, StoreOptions::default()).unwrap(),
            machine: Arc::new(Ignore),
            guard: Arc::new(|_| Ok(())),
            offload: Offload::Pool,
        };
        let machine = GroupMachine::open(parts, &log).unwrap();
        Ok((scratch, log, machine))
    }
}

/// The clock is paused: the suite sleeps for seconds after each purge.
#[test]
fn log_and_state_machine_keep_openrafts_contract() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let suite = Suite::<TypeConfig, GroupLog, GroupMachine, Builder, _>::test_all(Builder);
    runtime.unwrap().block_on(suite).unwrap();
}

#[test]
fn an_entry_comes_back_and_a_newer_one_is_named() {
    let payload = openraft::EntryPayload::Normal(Command::new("payload".as_bytes()));
    let entry = Entry { log_id: LogId::new_term_index(3, 7), payload };
    let bytes = entry.encode();
    assert_eq!(Entry::decode(bytes.clone()).unwrap(), entry);
    let mut newer = bytes.to_vec();
    newer[0] += 1;
    let error = Entry::decode(newer.into()).unwrap_err();
    assert_eq!(error.to_string(), "entry has encoding version 2, this build reads up to 1");
}
