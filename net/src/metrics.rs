//! What the mesh counts: plain atomics, rendered by the node. No label carries a personal value.

use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_core::kind::Kind;

use crate::lane::LaneKind;

const LANES: usize = LaneKind::NAMES.len();
/// `ok` and the nine kinds of failure.
const OUTCOMES: usize = 1 + Kind::ALL.len();

/// Whether a number only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleType {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One number, ready to be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its name, without a prefix; counters end in `_total`.
    pub name: &'static str,
    /// Whether it only grows.
    pub sample_type: SampleType,
    /// Label names and values, each from a fixed list.
    pub labels: Vec<(&'static str, &'static str)>,
    /// The number.
    pub value: u64,
}

/// Who began a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// This process.
    Out,
    /// The peer.
    In,
}

/// Counts of calls by lane and outcome.
type Table = [[AtomicU64; OUTCOMES]; LANES];

/// Everything counted.
#[derive(Debug, Default)]
pub struct NetMetrics {
    pub(crate) dials: AtomicU64,
    pub(crate) dial_failures: AtomicU64,
    pub(crate) handshake_failures: AtomicU64,
    pub(crate) handshakes_shed: AtomicU64,
    pub(crate) connections_out: AtomicU64,
    pub(crate) connections_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) frames_out: AtomicU64,
    pub(crate) frames_in: AtomicU64,
    pub(crate) placements_refused: AtomicU64,
    pub(crate) pins_refused: AtomicU64,
    pub(crate) shed: AtomicU64,
    calls_out: Table,
    calls_in: Table,
}

pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}

fn outcome_name(at: usize) -> &'static str {
    match at.checked_sub(1) {
        None => "ok",
        Some(kind) => Kind::ALL.get(kind).map_or("broken", |kind| kind.as_str()),
    }
}

fn outcome_ordinal(outcome: Option<Kind>) -> usize {
    match outcome {
        None => 0,
        Some(kind) => 1 + Kind::ALL.iter().position(|k| *k == kind).unwrap_or(Kind::ALL.len() - 1),
    }
}

/// Adds one while it lives.
pub(crate) struct Gauge<'a>(&'a AtomicU64);

impl<'a> Gauge<'a> {
    pub(crate) fn up(gauge: &'a AtomicU64) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl NetMetrics {
    pub(crate) fn call(&self, direction: Direction, lane: LaneKind, outcome: Option<Kind>) {
        let table = match direction {
            Direction::Out => &self.calls_out,
            Direction::In => &self.calls_in,
        };
        let cell = table.get(lane.ordinal()).and_then(|row| row.get(outcome_ordinal(outcome)));
        if let Some(cell) = cell {
            add(cell, 1);
        }
    }

    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.frames_out, 1);
        add(&self.bytes_out, bytes);
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&self.frames_in, 1);
        add(&self.bytes_in, bytes);
    }

    /// Connections refused to groups, on either side, since the start.
    #[must_use]
    pub fn placements_refused(&self) -> u64 {
        self.placements_refused.load(Ordering::Relaxed)
    }

    /// Pinned values refused to peers since the start.
    #[must_use]
    pub fn pins_refused(&self) -> u64 {
        self.pins_refused.load(Ordering::Relaxed)
    }

    /// Every number now. Calls that never happened are left out.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Sample> {
        let counters = [
            ("net_dials_total", &self.dials),
            ("net_dial_failures_total", &self.dial_failures),
            ("net_handshake_failures_total", &self.handshake_failures),
            ("net_handshakes_shed_total", &self.handshakes_shed),
            ("net_sent_bytes_total", &self.bytes_out),
            ("net_received_bytes_total", &self.bytes_in),
            ("net_sent_frames_total", &self.frames_out),
            ("net_received_frames_total", &self.frames_in),
            ("net_placements_refused_total", &self.placements_refused),
            ("net_pins_refused_total", &self.pins_refused),
            ("net_shed_total", &self.shed),
        ];
        let plain = counters
            .into_iter()
            .map(|(name, cell)| sample(name, SampleType::Counter, Vec::new(), cell));
        let open = [("out", &self.connections_out), ("in", &self.connections_in)];
        let gauges = open.into_iter().map(|(direction, cell)| {
            sample("net_connections", SampleType::Gauge, vec![("direction", direction)], cell)
        });
        let mut samples: Vec<Sample> = plain.chain(gauges).collect();
        samples.extend(calls("out", &self.calls_out));
        samples.extend(calls("in", &self.calls_in));
        samples
    }
}

fn sample(
    name: &'static str,
    sample_type: SampleType,
    labels: Vec<(&'static str, &'static str)>,
    cell: &AtomicU64,
) -> Sample {
    Sample { name, sample_type, labels, value: cell.load(Ordering::Relaxed) }
}

fn calls(direction: &'static str, table: &Table) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (lane, row) in LaneKind::NAMES.into_iter().zip(table) {
        for (at, cell) in row.iter().enumerate() {
            let labels =
                vec![("direction", direction), ("lane", lane), ("outcome", outcome_name(at))];
            samples.push(sample("net_calls_total", SampleType::Counter, labels, cell));
        }
    }
    samples.retain(|sample| sample.value > 0);
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_again_under_its_lane_and_outcome() {
        let metrics = NetMetrics::default();
        metrics.call(Direction::Out, LaneKind::Vote, None);
        metrics.call(Direction::In, LaneKind::Custom(9), Some(Kind::Refused));
        let calls: Vec<_> =
            metrics.snapshot().into_iter().filter(|s| s.name == "net_calls_total").collect();
        let labels: Vec<Vec<&str>> =
            calls.iter().map(|s| s.labels.iter().map(|l| l.1).collect()).collect();
        assert_eq!(labels, [["out", "vote", "ok"], ["in", "custom", "refused"]]);
    }

    #[test]
    fn a_gauge_comes_down_again() {
        let metrics = NetMetrics::default();
        drop(Gauge::up(&metrics.connections_in));
        assert_eq!(metrics.connections_in.load(Ordering::Relaxed), 0);
    }
}
