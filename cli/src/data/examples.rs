//! People worth showing, of a data set that names none itself.

use std::ops::RangeInclusive;

use super::{AgeBand, Consent, Dataset, DemoPerson, Toggle};

/// Events of somebody whose answers are worth looking at, where there is such a person.
const EVENTS: RangeInclusive<usize> = 20..=200;

/// A situation that an operator wants to see answered.
struct Situation {
    who: &'static str,
    home: &'static str,
    fits: fn(&DemoPerson) -> bool,
}

const SITUATIONS: [Situation; 6] = [
    Situation {
        who: "a German who consents",
        home: "EU-DE",
        fits: |p| adult(p) && p.consent == Consent::Granted && p.toggle == Toggle::Unset,
    },
    Situation {
        who: "a German who refused",
        home: "EU-DE",
        fits: |p| adult(p) && p.consent == Consent::Refused,
    },
    Situation {
        who: "a Californian",
        home: "US-CA",
        fits: |p| adult(p) && p.consent == Consent::Granted && p.toggle == Toggle::Unset,
    },
    Situation {
        who: "an Indian who consents",
        home: "IN",
        fits: |p| adult(p) && p.consent == Consent::Granted,
    },
    Situation {
        who: "a German who is not yet 18",
        home: "EU-DE",
        fits: |p| !adult(p) && p.age_band != AgeBand::Unknown,
    },
    Situation {
        who: "a New Yorker who switched personalisation off",
        home: "US-NY",
        fits: |p| adult(p) && p.toggle == Toggle::Off,
    },
];

fn adult(person: &DemoPerson) -> bool {
    person.age_band == AgeBand::Adult
}

/// Marks one person for each situation that the data has: the first with a history worth looking at, else
/// the first at all.
pub(super) fn choose(dataset: &mut Dataset) {
    let mut events = vec![0_usize; dataset.people.len()];
    for (person, _) in &dataset.events {
        if let Some(count) = events.get_mut(*person) {
            *count += 1;
        }
    }
    for Situation { who, home, fits } in SITUATIONS {
        let fits = |person: &DemoPerson| person.home.as_str() == home && fits(person);
        let known = dataset
            .people
            .iter()
            .zip(&events)
            .position(|(person, count)| fits(person) && EVENTS.contains(count));
        let at = known.or_else(|| dataset.people.iter().position(fits));
        if let Some(person) = at.and_then(|at| dataset.people.get_mut(at)) {
            person.example = Some(who.to_owned());
        }
    }
}
