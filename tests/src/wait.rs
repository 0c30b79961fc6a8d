//! Waiting without luck: looking again until what is waited for is there, or a generous limit has passed.

use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Between looks.
const EVERY: Duration = Duration::from_millis(25);

/// Looks until `look` finds something; also says how long that took.
///
/// # Panics
/// When `limit` has passed, with what was last wrong.
pub async fn eventually<T, F>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> (T, Duration)
where
    F: Future<Output = Result<T, String>>,
{
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return (found, began.elapsed()),
            Err(wrong) if began.elapsed() > limit => {
                panic!("{what}: not within {} s: {wrong}", limit.as_secs_f64())
            }
            Err(_) => sleep(EVERY).await,
        }
    }
}

/// The value below which `percent` of `times` lie.
///
/// # Panics
/// When there are no times.
#[must_use]
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    *sorted.get(rank - 1).expect("there are times")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(100));
        assert_eq!(percentile(&times, 99), Duration::from_millis(198));
        assert_eq!(percentile(&times[..1], 99), Duration::from_millis(200));
    }

    #[tokio::test]
    async fn what_comes_late_is_found() {
        let mut looks = 0;
        let look = || {
            looks += 1;
            let found = if looks == 3 { Ok(looks) } else { Err("not yet".to_owned()) };
            async move { found }
        };
        assert_eq!(eventually("the third look", Duration::from_secs(60), look).await.0, 3);
    }
}
