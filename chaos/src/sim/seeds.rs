//! The seeds that ever failed, kept in `seeds.txt` with their stories: they are run again for ever.

use super::scenario::Scenario;

const KEPT: &str = include_str!("../../seeds.txt");

/// A seed that failed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The scenario that it failed in.
    pub scenario: Scenario,
    /// The seed.
    pub seed: u64,
    /// What was wrong.
    pub story: String,
}

/// All of them. A line is `SCENARIO SEED STORY`; one that begins with `#` is a remark.
#[must_use]
pub fn kept() -> Vec<Kept> {
    KEPT.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Kept> {
    let mut words = line.splitn(3, ' ');
    let scenario = Scenario::named(words.next()?)?;
    let seed = words.next()?.parse().ok()?;
    Some(Kept { scenario, seed, story: words.next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_remark_or_a_seed() {
        for line in KEPT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            assert!(parse(line).is_some(), "{line}");
        }
    }
}
