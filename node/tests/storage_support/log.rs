//! A model of the log, and ways to run both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use bailiwick_node::log::sim::SimDisk;
use bailiwick_node::log::{Done, LogEntry, LogError, LogOptions, Position, SegmentLog, WriterMode};

pub const DIR: &str = "/log";
pub const ID: [u8; 16] = [7; 16];
pub const GROUPS: [&str; 3] = ["control", "catalog-0", "users-eu-0"];

/// Small segments and a small cache, so that both overflow all the time.
pub fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 3000,
        cache_bytes: 500,
        queue_bytes: 1 << 20,
        writer: WriterMode::Inline,
    }
}

pub fn open(disk: &SimDisk) -> Result<SegmentLog, LogError> {
    SegmentLog::open(Arc::new(disk.clone()), Path::new(DIR), ID, options())
}

pub fn segment_path(number: u64) -> PathBuf {
    Path::new(DIR).join(format!("seg-{number:010}.log"))
}

pub fn entry(term: u64, index: u64, size: usize) -> LogEntry {
    let body = vec![(term * 31 + index) as u8; size];
    LogEntry { at: Position { term, index }, body: body.into() }
}

/// Makes a call that acknowledges later, and waits for that.
pub fn heard(call: impl FnOnce(Done) -> Result<(), LogError>) -> Result<(), LogError> {
    let (tell, told) = mpsc::channel();
    call(Box::new(move |outcome| tell.send(outcome).unwrap()))?;
    told.recv().expect("every call that is taken is answered")
}

#[derive(Debug, Clone)]
pub enum Op {
    /// Group, entries, bytes of each.
    Append(usize, u64, usize),
    /// Group, how many of the last entries go.
    Truncate(usize, u64),
    /// Group, how many of the last entries stay.
    Purge(usize, u64),
    Vote(usize, u64),
    Committed(usize),
    Forget(usize),
    Reopen,
    Kill,
}

/// A group as a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupModel {
    entries: BTreeMap<u64, LogEntry>,
    purged: Option<Position>,
    vote: Option<Vec<u8>>,
    committed: Option<Position>,
}

impl GroupModel {
    fn last(&self) -> Option<Position> {
        self.entries.values().next_back().map(|e| e.at).or(self.purged)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected(BTreeMap<String, GroupModel>);

impl Expected {
    /// How far a group has committed may be lost with the power.
    pub fn without_committed(mut self) -> Self {
        self.0.values_mut().for_each(|group| group.committed = None);
        self
    }
}

/// The log as maps. Every append is of a new term, so that an old entry can't pass for a new one.
#[derive(Debug, Clone, Default)]
pub struct Model {
    groups: [GroupModel; 3],
    term: u64,
    /// What the last op came to.
    appended: Vec<LogEntry>,
    position: Option<Position>,
}

impl Model {
    /// Changes the maps.
    pub fn apply(&mut self, op: &Op) {
        self.term += 1;
        let term = self.term;
        match op {
            Op::Append(g, count, size) => {
                let group = &mut self.groups[*g];
                let next = group.last().map_or(0, |last| last.index + 1);
                self.appended = (next..next + count).map(|i| entry(term, i, *size)).collect();
                group.entries.extend(self.appended.iter().map(|e| (e.at.index, e.clone())));
            }
            Op::Truncate(g, back) => {
                let group = &mut self.groups[*g];
                let end = group.last().map_or(0, |last| last.index + 1);
                let floor = group.purged.map_or(0, |purged| purged.index + 1);
                let from = end.saturating_sub(*back).max(floor);
                self.position = Some(Position { term: 0, index: from });
                group.entries.split_off(&from);
                // openraft never truncates what is committed.
                group.committed = group.committed.min(group.last());
            }
            Op::Purge(g, keep) => {
                let group = &mut self.groups[*g];
                let upto = group.entries.values().rev().nth(*keep as usize).map(|e| e.at);
                self.position = upto;
                if let Some(upto) = upto {
                    group.purged = Some(upto);
                    group.entries = group.entries.split_off(&(upto.index + 1));
                }
            }
            Op::Vote(g, vote) => self.groups[*g].vote = Some(vec![*vote as u8; 4]),
            Op::Committed(g) => self.groups[*g].committed = self.groups[*g].last(),
            Op::Forget(g) => self.groups[*g] = GroupModel::default(),
            Op::Reopen | Op::Kill => {}
        }
    }

    /// Does to the log what [`Self::apply`] did to the maps.
    pub fn run(&self, log: &SegmentLog, op: &Op) -> Result<(), LogError> {
        let name = |g: &usize| Arc::from(GROUPS[*g]);
        match op {
            Op::Append(g, ..) => heard(|done| log.append(&name(g), self.appended.clone(), done)),
            Op::Truncate(g, _) => {
                let from = self.position.unwrap().index;
                heard(|done| log.truncate(&name(g), from, done))?;
                log.save_committed(&name(g), self.groups[*g].committed)
            }
            Op::Purge(g, _) => match self.position {
                Some(upto) => heard(|done| log.purge(&name(g), upto, done)),
                None => Ok(()),
            },
            Op::Vote(g, _) => {
                let vote = self.groups[*g].vote.clone().unwrap();
                heard(|done| log.save_vote(&name(g), vote.into(), done))
            }
            Op::Committed(g) => log.save_committed(&name(g), self.groups[*g].committed),
            Op::Forget(g) => heard(|done| log.forget(&name(g), done)),
            Op::Reopen | Op::Kill => Ok(()),
        }
    }

    pub fn expected(&self) -> Expected {
        let named = GROUPS.into_iter().map(str::to_owned).zip(self.groups.iter().cloned());
        Expected(named.collect())
    }

    /// What is lawful to find when the power failed during an append: any beginning of it.
    pub fn halfway(&self, op: &Op) -> Vec<Expected> {
        let Op::Append(g, count, size) = op else { return Vec::new() };
        let shorter = (1..*count).map(|count| {
            let mut model = self.clone();
            model.apply(&Op::Append(*g, count, *size));
            model.expected()
        });
        shorter.collect()
    }

    /// What the log has.
    pub fn found(&self, log: &SegmentLog) -> Expected {
        let group = |name: &str| {
            let entries = log.read(name, 0..u64::MAX, usize::MAX).unwrap();
            let found = GroupModel {
                entries: entries.into_iter().map(|e| (e.at.index, e)).collect(),
                purged: log.purged(name).unwrap(),
                vote: log.vote(name).unwrap().map(|vote| vote.to_vec()),
                committed: log.committed(name).unwrap(),
            };
            assert_eq!(found.last(), log.last(name).unwrap());
            found
        };
        Expected(GROUPS.into_iter().map(|name| (name.to_owned(), group(name))).collect())
    }
}
