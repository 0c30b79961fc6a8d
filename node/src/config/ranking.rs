//! What slates are composed for besides relevance and the packs' floors.
//!
//! ```toml
//! [ranking]
//! calibration = 0.2               # weight of a mix of categories like the person's own, 0 to 1
//! freshness = 0.1                 # weight of what was published lately, 0 to 1; relevance has the rest
//! freshness_half_life_days = 30   # an item this old counts half as fresh
//! creator_share_max = 0.3         # the most of a slate that is by one creator, above 0; 1 sets no limit
//! exploration_share_max = 0.1     # the most of a slate that chance brings among new items; 0 is none
//! ```

use std::num::NonZeroU64;

use bailiwick_core::policy::Ratio;
use bailiwick_core::ranking::Objectives;
use serde::Deserialize;

use super::Errors;

const DAY_MS: f64 = 24.0 * 3_600_000.0;
/// A hundred years: longer half-lives tell no two items apart.
const HALF_LIFE_DAYS_MAX: f64 = 36_500.0;

/// The `[ranking]` table as it is written; what is left out weighs and limits nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRanking {
    /// Weight of calibration, 0 to 1.
    pub calibration: Option<f64>,
    /// Weight of freshness, 0 to 1; together with calibration at most 1.
    pub freshness: Option<f64>,
    /// An item this old, in days, counts half as fresh as a new one.
    pub freshness_half_life_days: Option<f64>,
    /// The greatest share of a slate's items by one creator, above 0 and up to 1.
    pub creator_share_max: Option<f64>,
    /// The greatest share of a slate's items that chance brings, 0 to 1.
    pub exploration_share_max: Option<f64>,
}

/// The `[ranking]` table, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RankingConfig {
    /// What slates are composed for.
    pub objectives: Objectives,
    /// The greatest share of a slate's items that chance brings.
    pub exploration_share_max: Ratio,
}

impl RankingConfig {
    pub(super) fn read(errors: &mut Errors, raw: &RawRanking) -> Self {
        let mut found = Self::default();
        let calibration = part(errors, "calibration", raw.calibration);
        let freshness = part(errors, "freshness", raw.freshness);
        let weighed = Objectives::weighing(calibration, freshness).ok_or_else(|| {
            format!("{calibration} and ranking.freshness, {freshness}, are more than 1: lower one")
        });
        if let Some(objectives) = errors.take("ranking.calibration", weighed) {
            found.objectives = objectives;
        }
        if let Some(days) = raw.freshness_half_life_days
            && let Some(half_life) =
                errors.take("ranking.freshness_half_life_days", half_life(days))
        {
            found.objectives = found.objectives.with_half_life_ms(half_life);
        }
        if let Some(share) = raw.creator_share_max
            && let Some(share) = errors.take("ranking.creator_share_max", creator_share(share))
        {
            found.objectives = found.objectives.with_creator_share_max(share);
        }
        found.exploration_share_max =
            part(errors, "exploration_share_max", raw.exploration_share_max);
        found
    }
}

fn part(errors: &mut Errors, name: &str, value: Option<f64>) -> Ratio {
    let value = value.unwrap_or_default();
    let ratio = Ratio::new(value).ok_or_else(|| format!("{value} is not 0 to 1"));
    errors.take(&format!("ranking.{name}"), ratio).unwrap_or(Ratio::ZERO)
}

fn half_life(days: f64) -> Result<NonZeroU64, String> {
    let within = (0.0..=HALF_LIFE_DAYS_MAX).contains(&days);
    let ms = NonZeroU64::new((days * DAY_MS) as u64).filter(|_| within);
    ms.ok_or_else(|| format!("{days} is not a number of days above 0, up to {HALF_LIFE_DAYS_MAX}"))
}

fn creator_share(share: f64) -> Result<Ratio, String> {
    let ratio = Ratio::new(share).filter(|ratio| *ratio > Ratio::ZERO);
    ratio.ok_or_else(|| format!("{share} is not a share above 0, up to 1, which sets no limit"))
}

#[cfg(test)]
mod tests {
    use figment::Figment;
    use figment::providers::{Format as _, Toml};

    use super::*;

    fn raw(text: &str) -> Result<RawRanking, String> {
        Figment::from(Toml::string(text)).extract().map_err(|error| error.to_string())
    }

    fn read(text: &str) -> Result<RankingConfig, Vec<String>> {
        let mut errors = Errors::default();
        let found = RankingConfig::read(&mut errors, &raw(text).unwrap());
        if errors.0.is_empty() { Ok(found) } else { Err(errors.0) }
    }

    #[test]
    fn what_is_left_out_weighs_nothing() {
        assert_eq!(read("").unwrap(), RankingConfig::default());
        assert_eq!(
            read("calibration = 0\ncreator_share_max = 1").unwrap(),
            RankingConfig::default()
        );
    }

    #[test]
    fn what_is_written_is_asked_for() {
        let text = "calibration = 0.2\nfreshness = 0.1\nfreshness_half_life_days = 0.5\n\
                    creator_share_max = 0.3\nexploration_share_max = 0.1";
        let ratio = |value| Ratio::new(value).unwrap();
        let expected = Objectives::weighing(ratio(0.2), ratio(0.1)).unwrap();
        let expected = expected.with_half_life_ms(NonZeroU64::new(12 * 3_600_000).unwrap());
        let expected = expected.with_creator_share_max(ratio(0.3));
        let found = read(text).unwrap();
        assert_eq!((found.objectives, found.exploration_share_max), (expected, ratio(0.1)));
    }

    /// The errors name their fields, all at once.
    #[test]
    fn what_can_t_be_is_refused_by_name() {
        for (text, named) in [
            ("calibration = 1.5", vec!["ranking.calibration: 1.5 is not"]),
            ("freshness = -0.1", vec!["ranking.freshness: -0.1 is not"]),
            ("freshness = nan", vec!["ranking.freshness: NaN is not"]),
            ("exploration_share_max = 2", vec!["ranking.exploration_share_max: 2 is not 0 to 1"]),
            ("calibration = 0.7\nfreshness = 0.4", vec!["ranking.calibration: 0.7 and"]),
            ("freshness_half_life_days = 0", vec!["ranking.freshness_half_life_days: 0 is not"]),
            (
                "creator_share_max = 0\nfreshness_half_life_days = 1e9",
                vec!["ranking.freshness_half_life_days: 1000000000", "ranking.creator_share_max"],
            ),
        ] {
            let errors = read(text).unwrap_err();
            assert_eq!(errors.len(), named.len(), "{errors:?}");
            for (error, name) in errors.iter().zip(named) {
                assert!(error.contains(name), "{error}");
            }
        }
        assert!(raw("calibratoin = 1").unwrap_err().contains("calibratoin"));
    }
}
