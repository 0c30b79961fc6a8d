//! Intervals of means, by resampling people.

use bailiwick_core::learning::Draws;

/// Resamples: enough that the 2.5 % on either side rest on 25 of them.
const RESAMPLES: u64 = 1000;

/// The mean, and the interval in which 95 of 100 resampled means lie (percentile bootstrap, Efron 1979).
pub(super) fn mean_with_interval(values: &[f64], seed: u64) -> (f64, [f64; 2]) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|resample| {
            let draws = Draws::new(seed).stream(resample);
            let pick = |place| values.get(draws.below(place, values.len() as u64) as usize);
            (0..values.len() as u64).filter_map(pick).sum::<f64>() / count
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |part: f64| means.get((part * RESAMPLES as f64) as usize).copied().unwrap_or(mean);
    (mean, [at(0.025), at(0.975)])
}
