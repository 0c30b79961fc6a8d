//! Which domain the people of a public split are dealt to.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::places::is_in_union;

/// The domains whose law is known by their place, where a split is dealt over just these: the Union, the United
/// States, India.
const LAWS: usize = 3;

/// The domain of each person, below `domains`.
///
/// A country stays whole. Over three domains the countries of the Union are in the first, the United States in the
/// second, India in the third, as in a cluster of `bailiwick dev`; every other country, the largest first, goes to
/// where the fewest people are. Who has no country is dealt in turn, as everybody is where no countries are told.
pub(super) fn homes(countries: &[Option<&str>], domains: usize) -> Vec<usize> {
    let domains = domains.max(1);
    let places = places(countries, domains);
    let of = |(at, country): (usize, &Option<&str>)| {
        country.and_then(|country| places.get(country).copied()).unwrap_or(at % domains)
    };
    countries.iter().enumerate().map(of).collect()
}

/// The domain of each country.
fn places<'a>(countries: &[Option<&'a str>], domains: usize) -> BTreeMap<&'a str, usize> {
    let mut people: BTreeMap<&str, usize> = BTreeMap::new();
    for country in countries.iter().flatten() {
        *people.entry(country).or_default() += 1;
    }
    let mut load = vec![0_usize; domains];
    let mut countries: Vec<(&str, usize)> = people.into_iter().collect();
    // Those whose law says where first: the others fill up.
    countries
        .sort_by_key(|(country, people)| (lawful(country, domains).is_none(), Reverse(*people)));
    let mut places = BTreeMap::new();
    for (country, people) in countries {
        let least = || (0..domains).min_by_key(|at| load.get(*at)).unwrap_or_default();
        let at = lawful(country, domains).unwrap_or_else(least);
        if let Some(load) = load.get_mut(at) {
            *load += people;
        }
        places.insert(country, at);
    }
    places
}

fn lawful(country: &str, domains: usize) -> Option<usize> {
    match country {
        _ if domains != LAWS => None,
        "US" => Some(1),
        "IN" => Some(2),
        _ => is_in_union(country).then_some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_stay_whole_and_fill_up_the_smallest() {
        let told = ["US", "US", "US", "DE", "FR", "GB", "GB", "BR", "IN"].map(Some);
        assert_eq!(homes(&told, 3), [1, 1, 1, 0, 0, 2, 2, 0, 2]);
        assert_eq!(homes(&told, 2), [0, 0, 0, 0, 1, 1, 1, 1, 0]);
        assert_eq!(homes(&told, 1), [0; 9]);
    }

    #[test]
    fn who_has_no_country_is_dealt_in_turn() {
        assert_eq!(homes(&[None; 5], 3), [0, 1, 2, 0, 1]);
        assert_eq!(homes(&[None, Some("US"), None], 3), [0, 1, 2]);
        assert_eq!(homes(&[None, None], 0), [0, 0]);
    }
}
