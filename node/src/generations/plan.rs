//! What to do about the index: a pure decision, the same on every node that sees the same.

use std::time::Duration;

/// A generation is shipped when it would bring at least one row in so many: of a large index that has changed
/// little, building what is new costs less than sending all of it.
const SHIP_SHARE: usize = 64;
/// Of what waits for a merge a generation must take this much off: three quarters may stay.
const LEFT_OF: (usize, usize) = (3, 4);
/// How long a node waits for another's generation before it builds its own, and for each row that waits: some
/// four times what building takes on a machine that is not busy.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_A_ROW: Duration = Duration::from_millis(4);

/// What came of a generation here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    /// Taken over, or without use: there is no more in it.
    Spent,
    /// It could not be had.
    Failed,
}

/// A generation that the group has named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    /// Rows in it.
    pub(super) rows: usize,
    /// What came of it here; none if it was not tried.
    pub(super) tried: Option<Tried>,
}

/// What a node sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// A merge is due.
    pub(super) due: bool,
    /// Rows that it would put right.
    pub(super) backlog: usize,
    /// Live rows.
    pub(super) live: usize,
    /// Much more can't be taken without one.
    pub(super) half_full: bool,
    /// This node leads the catalogue's group.
    pub(super) leads: bool,
    /// The latest generation.
    pub(super) named: Option<Named>,
    /// How long another's generation has been waited for.
    pub(super) waited: Duration,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is due.
    Rest,
    /// Take over the named generation.
    Adopt,
    /// Build one, for this node alone.
    Build,
    /// Build one, and name it for the others.
    BuildAndName,
    /// Another node is expected to name one.
    Wait,
}

/// What to do about what is seen.
pub(super) fn next(sight: &Sight) -> Step {
    if !sight.due {
        return Step::Rest;
    }
    if sight.backlog.saturating_mul(SHIP_SHARE) < sight.live {
        return Step::Build;
    }
    let useful = sight.named.filter(|named| helps(sight, named));
    match useful.map(|named| named.tried) {
        Some(None) => Step::Adopt,
        _ if sight.leads => Step::BuildAndName,
        Some(Some(Tried::Failed)) => Step::Build,
        _ if sight.half_full || sight.waited >= patience(sight.backlog) => Step::Build,
        _ => Step::Wait,
    }
}

/// Whether a generation of so many rows can take enough off the backlog.
fn helps(sight: &Sight, named: &Named) -> bool {
    let (part, whole) = LEFT_OF;
    let left = sight.live.abs_diff(named.rows);
    left.saturating_mul(whole) <= sight.backlog.saturating_mul(part)
}

fn patience(backlog: usize) -> Duration {
    PATIENCE + PATIENCE_A_ROW.saturating_mul(u32::try_from(backlog).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A follower that has just loaded ten thousand items.
    const SEEN: Sight = Sight {
        due: true,
        backlog: 10_000,
        live: 10_000,
        half_full: false,
        leads: false,
        named: None,
        waited: Duration::ZERO,
    };

    fn named(rows: usize, tried: Option<Tried>) -> Option<Named> {
        Some(Named { rows, tried })
    }

    fn check(sight: Sight, expected: Step) {
        assert_eq!(next(&sight), expected, "{sight:?}");
    }

    #[test]
    fn one_builds_and_the_others_wait_within_a_bound() {
        check(Sight { due: false, leads: true, ..SEEN }, Step::Rest);
        check(Sight { leads: true, ..SEEN }, Step::BuildAndName);
        check(SEEN, Step::Wait);
        check(Sight { waited: Duration::from_secs(69), ..SEEN }, Step::Wait);
        check(Sight { waited: Duration::from_secs(70), ..SEEN }, Step::Build);
        check(Sight { half_full: true, ..SEEN }, Step::Build);
    }

    #[test]
    fn a_generation_is_taken_once_by_whoever_it_helps() {
        for leads in [false, true] {
            check(Sight { named: named(9_000, None), leads, ..SEEN }, Step::Adopt);
            check(Sight { named: named(2_500, None), leads, ..SEEN }, Step::Adopt);
        }
        check(Sight { named: named(2_400, None), ..SEEN }, Step::Wait);
        check(Sight { named: named(9_000, Some(Tried::Spent)), ..SEEN }, Step::Wait);
        let leads = Sight { leads: true, ..SEEN };
        check(Sight { named: named(9_000, Some(Tried::Spent)), ..leads }, Step::BuildAndName);
        // One that was made before most of the rows were removed is worse than none.
        check(Sight { named: named(90_000, None), ..SEEN }, Step::Wait);
    }

    #[test]
    fn one_that_can_t_be_had_is_built_at_once() {
        let failed = named(9_000, Some(Tried::Failed));
        check(Sight { named: failed, ..SEEN }, Step::Build);
        check(Sight { named: failed, leads: true, ..SEEN }, Step::BuildAndName);
        // Without use it is not missed.
        check(Sight { named: named(10, Some(Tried::Failed)), ..SEEN }, Step::Wait);
    }

    #[test]
    fn a_large_index_that_changed_little_is_not_shipped() {
        let large = Sight { live: 640_001, ..SEEN };
        check(Sight { leads: true, ..large }, Step::Build);
        check(Sight { named: named(640_001, None), ..large }, Step::Build);
        check(Sight { live: 640_000, named: named(640_000, None), ..SEEN }, Step::Adopt);
    }
}
