//! What a decision looks at, and what it says.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use super::cells::Cell;
use super::effective::Policy;
use super::order::{Attributes, Epsilon, Shares};
use super::set::PackRef;
use super::signal::{Signal, SignalSet, Variant};
use super::vocabulary::{
    AgeBand, Consent, ProfileRead, Reasons, SensitiveConsent, Service, Toggle,
};
use crate::ids::{DomainId, Jurisdiction};

/// Everything a decision looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// The day, in UTC.
    pub on: Date,
    /// The person's home jurisdiction.
    pub home: Jurisdiction,
    /// The jurisdiction the request is made in.
    pub location: Jurisdiction,
    /// The person and the service.
    pub asking: Asking,
}

/// What a decision looks at besides the places and the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking {
    /// The kind of service.
    pub service: Service,
    /// The person's age band.
    pub age_band: AgeBand,
    /// The person's consent.
    pub consent: Consent,
    /// The person's switch.
    pub toggle: Toggle,
    /// Whether the global privacy control was sent.
    pub gpc: Gpc,
    /// Consent to sensitive attributes.
    pub sensitive: SensitiveConsent,
    /// Whether the home domain can be reached.
    pub reach: HomeReach,
}

impl Asking {
    /// A request that says nothing about the person: fail-closed in every field.
    #[must_use]
    pub fn anonymous(service: Service) -> Self {
        Self {
            service,
            age_band: AgeBand::Unknown,
            consent: Consent::None,
            toggle: Toggle::Unset,
            gpc: Gpc::Absent,
            sensitive: SensitiveConsent::Na,
            reach: HomeReach::Reachable,
        }
    }

    /// The same request with the consent, switch and sensitive consent that grant the most.
    #[must_use]
    pub fn at_most(self) -> Self {
        Self {
            consent: Consent::Parental,
            toggle: Toggle::Unset,
            sensitive: SensitiveConsent::Yes,
            ..self
        }
    }
}

/// The global privacy control of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gpc {
    /// Not sent.
    Absent,
    /// Sent.
    Sent,
}

/// The home domain's state, as seen by whoever decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HomeReach {
    /// It answers.
    Reachable,
    /// It does not.
    Unreachable,
}

/// What may become of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EventStore {
    /// Nothing is kept.
    None,
    /// It feeds counters only.
    Aggregate,
    /// It is stored with the person, in this domain.
    Linked(DomainId),
    /// It waits for home, sealed, in this domain, at most 24 h.
    Buffer(DomainId),
}

impl fmt::Display for EventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Aggregate => f.write_str("aggregate"),
            Self::Linked(domain) => write!(f, "linked@{domain}"),
            Self::Buffer(domain) => write!(f, "buffer@{domain}"),
        }
    }
}

/// What was granted after each step, for explanations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// The age that the rules were asked for, in years.
    pub age: u8,
    /// The cell of the effective policy.
    pub cell: Cell,
    /// Whether the basis is satisfied.
    pub satisfied: bool,
    /// `with` or `without`.
    pub by_basis: SignalSet,
    /// After the switch.
    pub after_switch: SignalSet,
    /// After the global privacy control.
    pub after_gpc: SignalSet,
    /// After sensitive consent.
    pub after_sensitive: SignalSet,
    /// Where the profile may be read, before the variant had its say.
    pub read: ProfileRead,
}

/// What may be done for one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The signals granted.
    pub granted: SignalSet,
    /// The variant that follows.
    pub variant: Variant,
    /// Where the stored profile may be read.
    pub profile_read: ProfileRead,
    /// What may become of events.
    pub event_store: EventStore,
    /// Why, sorted by text.
    pub reasons: Reasons,
    /// The packs: the home's, the location's, then their ancestors.
    pub packs: Arc<[PackRef]>,
    /// The home's domain; none when its pack is STRICT.
    pub home_domain: Option<DomainId>,
    /// The location's domain; none when its pack is STRICT.
    pub location_domain: Option<DomainId>,
    /// The effective policy.
    pub policy: Arc<Policy>,
    /// How it came about.
    pub steps: Steps,
}

impl Decision {
    /// Whether third-party data is used: `xpt` is granted and the profile is read.
    #[must_use]
    pub fn third_party_data(&self) -> bool {
        self.granted.contains(Signal::Xpt) && self.profile_read != ProfileRead::No
    }

    /// The fewest people behind a count that may be used.
    #[must_use]
    pub fn k_min(&self) -> u32 {
        self.policy.fields().k_min.0
    }

    /// The least diversity of the list, 0 to 1.
    #[must_use]
    pub fn diversity_floor(&self) -> f32 {
        self.policy.fields().diversity_floor.0.get()
    }

    /// Shares of the list that local items must have.
    #[must_use]
    pub fn local_share(&self) -> &Shares {
        &self.policy.fields().local_share
    }

    /// The most that learning and other sums over people may tell of any one of them; none where no pack says.
    #[must_use]
    pub fn epsilon_max(&self) -> Option<f64> {
        self.policy.fields().dp_epsilon_max.0.map(Epsilon::get)
    }

    /// Attributes that may not be features.
    #[must_use]
    pub fn barred_attributes(&self) -> Attributes {
        self.policy.barred_attributes(self.granted)
    }
}
