//! Metrics of the edge. Labels name operations, kinds and domains; never a person, an item or an address.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// One kind of request and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) operation: &'static str,
    /// `ok`, `redirect` or a kind of failure.
    pub(crate) outcome: &'static str,
}

/// One kind of request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OperationLabels {
    pub(crate) operation: &'static str,
}

/// One variant, as nodes name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct VariantLabels {
    pub(crate) variant: String,
}

/// One domain's answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CallLabels {
    pub(crate) domain: String,
    pub(crate) outcome: Outcome,
}

/// How a call of a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    /// With an answer.
    Answered,
    /// With a failure that the node itself named.
    Refused,
    /// Not in time.
    TimedOut,
    /// The connection broke, or never was.
    Lost,
}

pub(crate) struct Metrics {
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) request_seconds: Family<OperationLabels, Histogram>,
    pub(crate) shed: Counter,
    pub(crate) fallbacks: Counter,
    pub(crate) variants: Family<VariantLabels, Counter>,
    pub(crate) node_calls: Family<CallLabels, Counter>,
    pub(crate) node_call_seconds: Histogram,
    pub(crate) connections: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) lease_seconds: Gauge,
    pub(crate) nodes_up: Gauge,
    pub(crate) registry: Registry,
}

/// 0.25 ms to 8 s, each bound twice the one before.
fn latencies() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut made = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(latencies),
            shed: Counter::default(),
            fallbacks: Counter::default(),
            variants: Family::default(),
            node_calls: Family::default(),
            node_call_seconds: latencies(),
            connections: Gauge::default(),
            in_flight: Gauge::default(),
            lease_seconds: Gauge::default(),
            nodes_up: Gauge::default(),
            registry: Registry::with_prefix("bailiwick_router"),
        };
        made.register();
        made
    }

    fn register(&mut self) {
        let to = &mut self.registry;
        to.register("requests", "Requests by operation and outcome", self.requests.clone());
        let help = "Time to answer, in seconds";
        to.register("request_seconds", help, self.request_seconds.clone());
        to.register("shed", "Requests sent away before any work", self.shed.clone());
        to.register("fallbacks", "Attempts after the first", self.fallbacks.clone());
        to.register("variants", "Ranked lists by variant", self.variants.clone());
        to.register("node_calls", "Calls of nodes by domain and outcome", self.node_calls.clone());
        let help = "Time of one call of a node, in seconds";
        to.register("node_call_seconds", help, self.node_call_seconds.clone());
        to.register("connections", "Open public connections", self.connections.clone());
        to.register("in_flight", "Requests under way", self.in_flight.clone());
        let help = "What is left of the lease on the packs, in seconds";
        to.register("lease_seconds", help, self.lease_seconds.clone());
        to.register("nodes_up", "Nodes that answer", self.nodes_up.clone());
    }
}
