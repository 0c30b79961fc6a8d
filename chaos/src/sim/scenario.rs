//! Scenarios: which faults a run draws from, and how many. Moves of slots, moves of home and changes of
//! policy get their kinds here when the product has them.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A node loses its power, and with it what was not synced.
    PowerCut,
    /// The same in the middle of a write.
    PowerCutAtCall,
    /// All nodes lose their power at one moment.
    PowerCutOfAll,
    /// A node is stopped in order and started again.
    Restart,
    /// A node loses everything and comes back as a new member.
    Wipe,
    /// A node is cut off from everybody.
    Isolate,
    /// A node hears and is not heard.
    OneWay,
    /// A node is cut off from the other nodes, and routers still reach it.
    Deaf,
    /// Some ways are cut, drawn one by one.
    SomeWays,
    /// A domain is cut off from the others.
    DomainCut,
    /// Delay, loss, and connections that break.
    Storm,
    /// Leaders are cut off in bad weather, so that others stand for election side by side.
    StormyElection,
    /// A disk takes long.
    SlowDisk,
    /// A disk's syncs fail.
    FailingDisk,
    /// A disk is full.
    FullDisk,
    /// A clock is wrong.
    Clock,
    /// A bit of a disk changes while its node is down.
    BitRot,
    /// A leader is told to let a node of another domain in.
    MemberAbroad,
}

/// What a run is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing goes wrong.
    Calm,
    /// Power cuts and restarts.
    Power,
    /// Partitions.
    Partitions,
    /// Bad weather.
    Weather,
    /// Slow, failing and full disks.
    Disks,
    /// Wrong clocks.
    Clocks,
    /// Members lost and replaced.
    Members,
    /// Any of it.
    Everything,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Calm,
        Self::Power,
        Self::Partitions,
        Self::Weather,
        Self::Disks,
        Self::Clocks,
        Self::Members,
        Self::Everything,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Power => "power",
            Self::Partitions => "partitions",
            Self::Weather => "weather",
            Self::Disks => "disks",
            Self::Clocks => "clocks",
            Self::Members => "members",
            Self::Everything => "everything",
        }
    }

    /// The scenario of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// The scenario that falls to a seed where all are asked for.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let at = usize::try_from(seed % Self::ALL.len() as u64).unwrap_or_default();
        Self::ALL.get(at).copied().unwrap_or(Self::Everything)
    }

    const fn kinds(self) -> &'static [Kind] {
        use Kind as K;
        match self {
            Self::Calm => &[],
            Self::Power => &[K::PowerCut, K::PowerCutAtCall, K::PowerCutOfAll, K::Restart],
            Self::Partitions => &[K::Isolate, K::OneWay, K::Deaf, K::SomeWays, K::DomainCut],
            Self::Weather => &[K::Storm, K::StormyElection],
            Self::Disks => &[K::SlowDisk, K::FailingDisk, K::FullDisk, K::BitRot],
            Self::Clocks => &[K::Clock],
            Self::Members => &[K::Wipe, K::Restart, K::Isolate, K::MemberAbroad],
            Self::Everything => &[
                K::PowerCut,
                K::PowerCutAtCall,
                K::PowerCutOfAll,
                K::Restart,
                K::Wipe,
                K::Isolate,
                K::OneWay,
                K::Deaf,
                K::SomeWays,
                K::DomainCut,
                K::Storm,
                K::StormyElection,
                K::SlowDisk,
                K::FailingDisk,
                K::FullDisk,
                K::Clock,
                K::BitRot,
                K::MemberAbroad,
            ],
        }
    }

    /// How many faults a run has.
    pub fn rounds(self, dice: &mut ChaCha8Rng) -> u64 {
        dice.random_range(2..5)
    }

    /// The next fault; none where nothing goes wrong.
    pub fn draw(self, dice: &mut ChaCha8Rng) -> Option<Kind> {
        let kinds = self.kinds();
        if kinds.is_empty() {
            return None;
        }
        kinds.get(dice.random_range(0..kinds.len())).copied()
    }
}
