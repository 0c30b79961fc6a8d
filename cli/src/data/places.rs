//! From a country and a region in free text to the jurisdiction whose law applies.

use bailiwick_core::ids::{IdError, Jurisdiction};

/// The members of the European Union, ISO 3166-1.
const EU: [&str; 27] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT",
    "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// Whether a country (ISO 3166-1 alpha-2) is a member of the European Union.
pub(super) fn is_in_union(country: &str) -> bool {
    EU.contains(&country)
}

/// No country is known. No pack has this name (ISO 3166 leaves it to its users), so that the strictest
/// policy applies.
const NOWHERE: &str = "ZZ";

const STATES: [(&str, &str); 52] = [
    ("alabama", "AL"),
    ("alaska", "AK"),
    ("arizona", "AZ"),
    ("arkansas", "AR"),
    ("california", "CA"),
    ("colorado", "CO"),
    ("connecticut", "CT"),
    ("dc", "DC"),
    ("delaware", "DE"),
    ("district of columbia", "DC"),
    ("florida", "FL"),
    ("georgia", "GA"),
    ("hawaii", "HI"),
    ("idaho", "ID"),
    ("illinois", "IL"),
    ("indiana", "IN"),
    ("iowa", "IA"),
    ("kansas", "KS"),
    ("kentucky", "KY"),
    ("louisiana", "LA"),
    ("maine", "ME"),
    ("maryland", "MD"),
    ("massachusetts", "MA"),
    ("michigan", "MI"),
    ("minnesota", "MN"),
    ("mississippi", "MS"),
    ("missouri", "MO"),
    ("montana", "MT"),
    ("nebraska", "NE"),
    ("nevada", "NV"),
    ("new hampshire", "NH"),
    ("new jersey", "NJ"),
    ("new mexico", "NM"),
    ("new york", "NY"),
    ("north carolina", "NC"),
    ("north dakota", "ND"),
    ("ohio", "OH"),
    ("oklahoma", "OK"),
    ("oregon", "OR"),
    ("pennsylvania", "PA"),
    ("rhode island", "RI"),
    ("south carolina", "SC"),
    ("south dakota", "SD"),
    ("tennessee", "TN"),
    ("texas", "TX"),
    ("utah", "UT"),
    ("vermont", "VT"),
    ("virginia", "VA"),
    ("washington", "WA"),
    ("west virginia", "WV"),
    ("wisconsin", "WI"),
    ("wyoming", "WY"),
];

/// The jurisdiction of a country (ISO 3166-1 alpha-2, or empty) and a region in free text.
///
/// # Errors
/// [`IdError`] when the country has characters that no jurisdiction may have.
pub(super) fn jurisdiction(country: &str, region: &str) -> Result<Jurisdiction, IdError> {
    let country = country.to_ascii_uppercase();
    let region = region.to_lowercase();
    Jurisdiction::new(match country.as_str() {
        "" => NOWHERE.to_owned(),
        "GB" => "UK".to_owned(),
        "US" => match STATES.iter().find(|(name, _)| *name == region) {
            Some((_, state)) => format!("US-{state}"),
            None => country,
        },
        "CA" if region == "quebec" || region == "québec" => "CA-QC".to_owned(),
        _ if is_in_union(&country) => format!("EU-{country}"),
        _ => country,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fall_under_their_law() {
        for (country, region, expected) in [
            ("DE", "bayern", "EU-DE"),
            ("gr", "", "EU-GR"),
            ("GB", "england", "UK"),
            ("US", "California", "US-CA"),
            ("US", "dc", "US-DC"),
            ("US", "calabria", "US"),
            ("CA", "quebec", "CA-QC"),
            ("CA", "ontario", "CA"),
            ("CH", "", "CH"),
            ("IN", "tamil nadu", "IN"),
            ("", "california", "ZZ"),
        ] {
            assert_eq!(jurisdiction(country, region).unwrap().as_str(), expected);
        }
        assert!(jurisdiction("D E", "").is_err());
    }
}
