//! Planted bugs, to prove that the checks of `chaos/` find them. They are in builds for tests, which have debug
//! assertions, and in those with the feature `mutants`; in a release build of the product nothing here exists.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The log acknowledges what it has not made durable.
    SkipSync,
    /// Events are acknowledged when they are sent to the leader.
    AcknowledgeEarly,
    /// Consent is never read again.
    StaleConsent,
    /// An event that is sent again is kept again.
    CountTwice,
    /// Everything is granted.
    WidenPack,
    /// A person's row key becomes an item of the catalogue, which all domains hold.
    TellAbroad,
    /// A leader that restarts goes on in its old term.
    ResumeTerm,
    /// A vote is granted to whoever asks.
    GrantTwice,
    /// How far a replica has applied is told too low now and then.
    AppliedFalls,
    /// Some replicas skip some commands.
    SkipApply,
    /// What is read at home is not confirmed.
    StaleRead,
    /// A replica that could not confirm itself once does not try again.
    GiveUp,
    /// What the app excludes is shown.
    ShowExcluded,
    /// What the packs ask of every slate is not asked of it.
    ForgetFloors,
    /// A log takes a member that stands abroad.
    AdmitAbroad,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::SkipSync,
        Self::AcknowledgeEarly,
        Self::StaleConsent,
        Self::CountTwice,
        Self::WidenPack,
        Self::TellAbroad,
        Self::ResumeTerm,
        Self::GrantTwice,
        Self::AppliedFalls,
        Self::SkipApply,
        Self::StaleRead,
        Self::GiveUp,
        Self::ShowExcluded,
        Self::ForgetFloors,
        Self::AdmitAbroad,
    ];

    /// Its name, as [`VARIABLE`] has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SkipSync => "skip-sync",
            Self::AcknowledgeEarly => "acknowledge-early",
            Self::StaleConsent => "stale-consent",
            Self::CountTwice => "count-twice",
            Self::WidenPack => "widen-pack",
            Self::TellAbroad => "tell-abroad",
            Self::ResumeTerm => "resume-term",
            Self::GrantTwice => "grant-twice",
            Self::AppliedFalls => "applied-falls",
            Self::SkipApply => "skip-apply",
            Self::StaleRead => "stale-read",
            Self::GiveUp => "give-up",
            Self::ShowExcluded => "show-excluded",
            Self::ForgetFloors => "forget-floors",
            Self::AdmitAbroad => "admit-abroad",
        }
    }
}

/// The variable of the environment that plants one.
pub const VARIABLE: &str = "BAILIWICK_MUTANT";

/// Whether the bug is planted in this process.
#[cfg(any(feature = "mutants", debug_assertions))]
#[must_use]
pub fn planted(mutant: Mutant) -> bool {
    static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let planted = PLANTED.get_or_init(|| std::env::var(VARIABLE).ok());
    planted.as_deref() == Some(mutant.name())
}

/// Whether this build can plant bugs.
pub const POSSIBLE: bool = cfg!(any(feature = "mutants", debug_assertions));

/// Never.
#[cfg(not(any(feature = "mutants", debug_assertions)))]
#[must_use]
pub const fn planted(_: Mutant) -> bool {
    false
}
