//! The decision, step by step: total, fail-closed, and the same in the router and in the node.

use std::sync::Arc;

use super::cells::Cell;
use super::decision::{Asking, Decision, EventStore, Gpc, HomeReach, Inputs, Steps};
use super::domains::DomainSet;
use super::effective::Policy;
use super::order::Order as _;
use super::set::{Applicable, PackSet, Side};
use super::signal::{Signal, SignalSet, Variant};
use super::vocabulary::{
    ADULT, Basis, Consent, EventClass, ProfileRead, Reason, Reasons, SensitiveBasis,
    SensitiveConsent, Service, Toggle, UNKNOWN_MINOR, UnknownAge,
};
use super::word::WordSet;

/// Decides. Never fails, only refuses: an unknown place, or a pack that is missing, is STRICT.
#[must_use]
pub fn decide(packs: &PackSet, inputs: &Inputs) -> Decision {
    let law = packs.applicable(&inputs.home, &inputs.location, inputs.on);
    decide_under(&law, &inputs.asking)
}

/// The most that could be granted for any consent, switch and sensitive consent: what a router knows.
#[must_use]
pub fn ceiling(packs: &PackSet, inputs: &Inputs) -> Decision {
    let law = packs.applicable(&inputs.home, &inputs.location, inputs.on);
    decide_under(&law, &inputs.asking.at_most())
}

/// Decides under a law that the caller has kept.
#[must_use]
pub fn decide_under(law: &Applicable, asking: &Asking) -> Decision {
    let mut reasons = Reasons::EMPTY;
    law_reasons(law, &mut reasons);
    let age = age(&law.policy, asking, &mut reasons);
    let cell = cell(&law.policy, asking.service, age, &mut reasons);
    let satisfied = satisfied(cell.basis, asking);
    reasons.insert(basis_reason(cell.basis, satisfied, asking));
    let (granted, steps) = grant(&law.policy, asking, age, cell, satisfied, &mut reasons);
    let read = read(law, granted, asking.reach, &mut reasons);
    let granted = match read {
        ProfileRead::No => granted.without(SignalSet::STORED),
        ProfileRead::Edge | ProfileRead::Home => granted,
    };
    let variant = Variant::of(granted);
    let profile_read = if variant.reads_profile() { read } else { ProfileRead::No };
    let event_store = event(law, asking, cell, satisfied, &mut reasons);
    Decision {
        granted,
        variant,
        profile_read,
        event_store,
        reasons,
        packs: Arc::clone(&law.packs),
        home_domain: law.home.domain.clone(),
        location_domain: law.location.domain.clone(),
        policy: Arc::clone(&law.policy),
        steps: Steps { read, ..steps },
    }
}

fn law_reasons(law: &Applicable, reasons: &mut Reasons) {
    if law.unknown {
        reasons.insert(Reason::JurUnknown);
    }
    if law.strictest {
        reasons.insert(Reason::JurStrictest);
    }
}

/// Step 1: the age in years.
fn age(policy: &Policy, asking: &Asking, reasons: &mut Reasons) -> u8 {
    asking.age_band.lower_bound().unwrap_or_else(|| {
        match policy.fields().unknown_age.get(asking.service) {
            UnknownAge::Minor => {
                reasons.insert(Reason::AgeUnknownMinor);
                UNKNOWN_MINOR
            }
            UnknownAge::Adult => ADULT,
        }
    })
}

/// Step 1: the rule for the age, and whether an adult's differs.
fn cell(policy: &Policy, service: Service, age: u8, reasons: &mut Reasons) -> Cell {
    let cells = &policy.fields().cells;
    let cell = cells.at(service, age);
    if age < ADULT && cell != cells.at(service, ADULT) {
        reasons.insert(Reason::MinorRule);
    }
    cell
}

/// Step 2: whether the basis is satisfied. A switch set to on is not consent.
fn satisfied(basis: Basis, asking: &Asking) -> bool {
    let objects = asking.toggle == Toggle::Off
        || matches!(asking.consent, Consent::Refused | Consent::Withdrawn);
    !objects
        && match basis {
            Basis::Forbidden => false,
            Basis::ParentalOptIn => asking.consent == Consent::Parental,
            Basis::OptIn => matches!(asking.consent, Consent::Granted | Consent::Parental),
            Basis::OptOut | Basis::Free => true,
        }
}

/// Exactly one code: the basis that is satisfied, or the first thing that is in the way.
fn basis_reason(basis: Basis, satisfied: bool, asking: &Asking) -> Reason {
    match (satisfied, basis) {
        (true, Basis::Free) => Reason::BasisFree,
        (true, Basis::OptOut) => Reason::BasisOptOut,
        (true, Basis::OptIn) => Reason::BasisConsent,
        (true, Basis::ParentalOptIn) => Reason::BasisParental,
        (_, Basis::Forbidden) => Reason::ProfileForbidden,
        (false, _) => match (asking.toggle, asking.consent) {
            (Toggle::Off, _) => Reason::UserOff,
            (_, Consent::Withdrawn) => Reason::ConsentWithdrawn,
            (_, Consent::Refused) => Reason::ConsentRefused,
            _ if basis == Basis::ParentalOptIn => Reason::ParentalRequired,
            _ => Reason::ConsentMissing,
        },
    }
}

/// Step 3: what is granted before it is known where the profile may be read.
fn grant(
    policy: &Policy,
    asking: &Asking,
    age: u8,
    cell: Cell,
    satisfied: bool,
    reasons: &mut Reasons,
) -> (SignalSet, Steps) {
    let fields = policy.fields();
    let by_basis = if satisfied { cell.with } else { cell.without };
    let after_switch = match asking.toggle {
        Toggle::Off => by_basis.without(fields.toggle_off.0),
        Toggle::Unset | Toggle::On => by_basis,
    };
    let after_gpc = match asking.gpc {
        Gpc::Sent => after_switch.without(fields.gpc.0),
        Gpc::Absent => after_switch,
    };
    if asking.gpc == Gpc::Sent && !fields.gpc.0.is_empty() {
        reasons.insert(Reason::GpcHonoured);
    }
    let after_sensitive = sensitive(fields.sensitive_basis, asking.sensitive, after_gpc, reasons);
    let read = ProfileRead::No;
    let steps =
        Steps { age, cell, satisfied, by_basis, after_switch, after_gpc, after_sensitive, read };
    (after_sensitive, steps)
}

fn sensitive(
    basis: SensitiveBasis,
    consent: SensitiveConsent,
    granted: SignalSet,
    reasons: &mut Reasons,
) -> SignalSet {
    let met = match basis {
        SensitiveBasis::Excluded => false,
        SensitiveBasis::Explicit => consent == SensitiveConsent::Yes,
        SensitiveBasis::OptOut => {
            matches!(consent, SensitiveConsent::Yes | SensitiveConsent::Unset)
        }
    };
    if met {
        return granted;
    }
    let asked = matches!(consent, SensitiveConsent::Unset | SensitiveConsent::No);
    if asked && granted.contains(Signal::Sen) {
        reasons.insert(Reason::SensitiveExcluded);
    }
    granted.without(WordSet::from_iter([Signal::Sen]))
}

/// Step 4: where the stored profile may be read. An else-chain: one code at most.
fn read(
    law: &Applicable,
    granted: SignalSet,
    reach: HomeReach,
    reasons: &mut Reasons,
) -> ProfileRead {
    if granted.intersection(SignalSet::STORED).is_empty() {
        return ProfileRead::No;
    }
    if reach == HomeReach::Unreachable {
        reasons.insert(Reason::HomeUnreachable);
        return ProfileRead::No;
    }
    let may_process = |side: &Side, other: &Side| {
        other.domain.as_ref().is_some_and(|domain| side.process_in.contains(domain))
    };
    let same = law.home.domain.is_some() && law.home.domain == law.location.domain;
    if same || may_process(&law.home, &law.location) {
        return ProfileRead::Edge;
    }
    if may_process(&law.location, &law.home) {
        reasons.insert(Reason::ScoredAtHome);
        return ProfileRead::Home;
    }
    reasons.insert(Reason::ExportBarred);
    ProfileRead::No
}

/// Step 6: what may become of an event.
fn event(
    law: &Applicable,
    asking: &Asking,
    cell: Cell,
    satisfied: bool,
    reasons: &mut Reasons,
) -> EventStore {
    let class = if satisfied { cell.events_with } else { cell.events_without };
    let class = match asking.toggle {
        Toggle::Off => class.min(EventClass::Aggregate),
        Toggle::Unset | Toggle::On => class,
    };
    match class {
        EventClass::None => EventStore::None,
        EventClass::Aggregate => EventStore::Aggregate,
        EventClass::Linked => linked(law, asking.reach, reasons),
    }
}

/// Step 6: where a linked event may be stored.
fn linked(law: &Applicable, reach: HomeReach, reasons: &mut Reasons) -> EventStore {
    let both = law.home.store_in.meet(&law.location.store_in);
    let allowed = match law.policy.copies_kept_in(&both) {
        true => both,
        false => DomainSet::none(),
    };
    let within = |side: &Side| side.domain.clone().filter(|domain| allowed.contains(domain));
    match (within(&law.home), reach, within(&law.location)) {
        (Some(home), HomeReach::Reachable, _) => EventStore::Linked(home),
        (Some(_), HomeReach::Unreachable, Some(location)) => {
            reasons.insert(Reason::StoreBuffered);
            EventStore::Buffer(location)
        }
        (None, _, Some(location)) => {
            reasons.insert(Reason::StoredAtLocation);
            EventStore::Linked(location)
        }
        _ => {
            reasons.insert(Reason::StoreBarred);
            EventStore::None
        }
    }
}
