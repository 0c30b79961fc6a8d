//! How long the steps of an evaluation took, by the clock and in the processor.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

/// What a step took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Took {
    /// By the clock.
    pub seconds: f64,
    /// Of all threads of this process together, where the system says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
}

/// What each step took. Without a cluster nothing is loaded, and nobody asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    pub(super) load: Option<Took>,
    pub(super) learn: Took,
    pub(super) ask: Option<Took>,
}

/// Runs from its start.
pub(super) struct Stopwatch {
    began: Instant,
    cpu_seconds: Option<f64>,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), cpu_seconds: cpu_seconds() }
    }

    pub(super) fn took(&self) -> Took {
        let cpu_seconds = cpu_seconds().zip(self.cpu_seconds).map(|(now, then)| now - then);
        Took { seconds: self.began.elapsed().as_secs_f64(), cpu_seconds }
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} s", self.seconds)?;
        match self.cpu_seconds {
            Some(cpu) => write!(f, " ({cpu:.0} CPU-s)"),
            None => Ok(()),
        }
    }
}

/// What Linux counts as this process's time in user and kernel mode.
fn cpu_seconds() -> Option<f64> {
    /// Linux tells programs of ticks of a hundredth of a second, whatever it ticks by itself.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold blanks and brackets; behind its last bracket fields 3 and on follow.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok().map(f64::from);
    Some((ticks()? + ticks()?) / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work shows in the processor's time, sleep in the clock's alone.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_stopwatch_knows_work_from_waiting() {
        let watch = Stopwatch::start();
        let before = cpu_seconds().unwrap();
        let mut sum = 0_u64;
        while cpu_seconds().unwrap() < before + 0.1 {
            sum = sum.wrapping_mul(31).wrapping_add(7);
        }
        std::hint::black_box(sum);
        let took = watch.took();
        assert!(took.cpu_seconds.unwrap() > 0.09 && took.seconds > 0.0, "{took}");
    }
}
