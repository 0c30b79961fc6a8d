//! The control group's state machine.

use std::sync::Arc;

use bailiwick_core::ids::DomainId;
use bailiwick_core::placement::Site;
use bailiwick_core::policy::PackFile;
use bailiwick_proto::store::control_command::Change as Command;
use bailiwick_proto::store::control_row::Row;
use bailiwick_proto::store::{
    ControlCommand, ControlOutcome, ControlRow, PutDomain, PutPack, SetClusterVersion,
};
use prost::Message as _;

use super::state::{ControlState, ControlView, record_of};
use super::{learning, privacy};
use crate::raft::machine::{AppliedAt, Change, Machine, View};

/// The version of the control group's commands and rows.
pub const FORMAT: u32 = 1;
/// Users groups that one domain may have.
const USERS_GROUPS_MAX: u32 = 256;

/// The rows of the group's tree, by the first byte of their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// `p` + pack + 0 + version
    Pack(&'a str, u32),
    /// `n` + node name
    Node(&'a str),
    /// `d` + domain
    Domain(&'a str),
    /// `v`
    ClusterVersion,
    /// `l`: the latest run of learning
    Learning,
    /// `m`: the models that it brought
    Models,
    /// `e`: what was told of people
    Privacy,
}

impl Key<'_> {
    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Pack(pack, version) => {
                [b"p", pack.as_bytes(), b"\0", &version.to_be_bytes()].concat()
            }
            Self::Node(name) => [b"n", name.as_bytes()].concat(),
            Self::Domain(domain) => [b"d", domain.as_bytes()].concat(),
            Self::ClusterVersion => b"v".to_vec(),
            Self::Learning => b"l".to_vec(),
            Self::Models => b"m".to_vec(),
            Self::Privacy => b"e".to_vec(),
        }
    }
}

/// The state machine of the `control` group.
pub struct ControlMachine {
    state: Arc<ControlState>,
}

impl ControlMachine {
    /// A machine that keeps `state` up to date.
    #[must_use]
    pub fn new(state: Arc<ControlState>) -> Self {
        Self { state }
    }
}

/// Whether a node whose certificate says `site` may propose `command`: itself, its own domain, and the
/// packs of its domain or of domains that have no nodes.
///
/// # Errors
/// Why not, in words.
pub fn may_propose(
    site: &Site,
    command: &ControlCommand,
    view: &ControlView,
) -> Result<(), String> {
    let own = |what: &str, found: &str| match found == site.domain.as_str() {
        true => Ok(()),
        false => Err(format!(
            "{} stands in {} and may not change {what} of {found}",
            site.name, site.domain
        )),
    };
    match &command.change {
        Some(Command::RegisterNode(node)) => {
            let same = record_of(node).is_some_and(|record| record.site == *site);
            same.then_some(()).ok_or_else(|| format!("{} may register only itself", site.name))
        }
        Some(Command::PutDomain(domain)) => own("the record", &domain.domain),
        Some(Command::PutPack(pack)) => match pack_domain(&pack.source) {
            Some(domain) if view.domains.contains_key(&domain) => own("a pack", domain.as_str()),
            _ => Ok(()),
        },
        // The coordinator leads the group, and so needs no other node to propose for it.
        Some(
            Command::NoteLearning(_)
            | Command::NoteCheckpoint(_)
            | Command::ActivateModel(_)
            | Command::SpendPrivacy(_),
        ) => Err(format!("{} does not coordinate the run", site.name)),
        Some(
            Command::SetClusterVersion(_) | Command::StartLearning(_) | Command::RollBackModel(_),
        )
        | None => Ok(()),
    }
}

fn pack_domain(source: &str) -> Option<DomainId> {
    PackFile::parse(source).ok().and_then(|file| file.domain().cloned())
}

pub(super) fn put(view: &mut View<'_>, key: Key<'_>, row: Row) -> Result<(), String> {
    let row = ControlRow { format: FORMAT, row: Some(row) };
    view.put(&key.bytes(), row.encode_to_vec()).map_err(|refusal| refusal.to_string())
}

fn put_pack(pack: PutPack, view: &mut View<'_>) -> Result<(), String> {
    // Refused before it was proposed, and again here: one bad row must not stop every region.
    let file = PackFile::parse(&pack.source).map_err(|errors| errors.to_string())?;
    let key = Key::Pack(file.pack().as_str(), file.version());
    match view.get(&key.bytes()).and_then(|row| ControlRow::decode(row).ok()) {
        Some(ControlRow { row: Some(Row::Pack(known)), .. }) if known.source == pack.source => {
            Ok(())
        }
        Some(_) => {
            Err(format!("{} version {} is there with other content", file.pack(), file.version()))
        }
        None => put(view, key, Row::Pack(pack)),
    }
}

fn put_domain(domain: PutDomain, view: &mut View<'_>) -> Result<(), String> {
    DomainId::new(domain.domain.as_str()).map_err(|error| error.to_string())?;
    if domain.users_groups == 0 || domain.users_groups > USERS_GROUPS_MAX {
        return Err(format!(
            "a domain has 1 to {USERS_GROUPS_MAX} users groups, not {}",
            domain.users_groups
        ));
    }
    let name = domain.domain.clone();
    let key = Key::Domain(&name);
    match view.get(&key.bytes()).and_then(|row| ControlRow::decode(row).ok()) {
        Some(ControlRow { row: Some(Row::Domain(known)), .. })
            if known.users_groups != domain.users_groups =>
        {
            Err(format!("{name} has {} users groups; their number is fixed", known.users_groups))
        }
        _ => put(view, key, Row::Domain(domain)),
    }
}

fn put_version(mut version: SetClusterVersion, view: &mut View<'_>) -> Result<(), String> {
    let known = view.get(&Key::ClusterVersion.bytes()).and_then(|row| ControlRow::decode(row).ok());
    if let Some(ControlRow { row: Some(Row::ClusterVersion(known)), .. }) = known {
        if version.version < known.version {
            let (asked, now) = (version.version, known.version);
            return Err(format!("the cluster version is {now} and never falls to {asked}"));
        }
        version.cluster_id = known.cluster_id;
    }
    put(view, Key::ClusterVersion, Row::ClusterVersion(version))
}

fn apply(command: ControlCommand, view: &mut View<'_>) -> Result<(), String> {
    if command.format > FORMAT {
        return Err("the command is of a newer version".into());
    }
    match command.change {
        Some(Command::PutPack(pack)) => put_pack(pack, view),
        Some(Command::RegisterNode(node)) => {
            record_of(&node).ok_or("the node's record is not well-formed")?;
            let name = node.name.clone();
            put(view, Key::Node(&name), Row::Node(node))
        }
        Some(Command::PutDomain(domain)) => put_domain(domain, view),
        Some(Command::SetClusterVersion(version)) => put_version(version, view),
        Some(Command::StartLearning(start)) => learning::start(start, command.at_ms, view),
        Some(Command::NoteLearning(note)) => learning::note(note, command.at_ms, view),
        Some(Command::ActivateModel(model)) => learning::activate(model, command.at_ms, view),
        Some(Command::RollBackModel(back)) => learning::roll_back(&back, view),
        Some(Command::NoteCheckpoint(note)) => learning::note_checkpoint(note, command.at_ms, view),
        Some(Command::SpendPrivacy(spend)) => privacy::spend(spend, command.at_ms, view),
        None => Err("the command is empty".into()),
    }
}

impl Machine for ControlMachine {
    fn apply(&self, _: AppliedAt, command: &[u8], view: &mut View<'_>) -> Vec<u8> {
        let outcome = match ControlCommand::decode(command) {
            Ok(command) => apply(command, view),
            Err(_) => Err("the command could not be read".into()),
        };
        ControlOutcome { refused: outcome.err().unwrap_or_default() }.encode_to_vec()
    }

    fn refreshed(&self, change: Change<'_>, applied: u64) {
        match change {
            Change::Batch(rows) => self.state.update(rows, applied),
            Change::Everything(reader) => self.state.reload(reader, applied),
        }
    }
}
