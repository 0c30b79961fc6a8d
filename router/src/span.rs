//! What is told of a request: its id, operation, outcome and time. Never who asked, from where, for what.

use std::sync::Arc;
use std::time::Instant;

use bailiwick_core::kind::Kind;

use crate::edge::Edge;
use crate::metrics::{OperationLabels, RequestLabels};
use crate::operation::Operation;
use crate::visit::Visit;

/// A request under way. Dropped without an outcome, it was given up by its caller.
pub(crate) struct Spanned {
    edge: Arc<Edge>,
    operation: &'static str,
    began: Instant,
    outcome: &'static str,
}

impl Spanned {
    pub(crate) fn begin(edge: &Arc<Edge>, operation: Operation) -> Self {
        edge.metrics.in_flight.inc();
        let (edge, operation) = (Arc::clone(edge), operation.name());
        Self { edge, operation, began: Instant::now(), outcome: "given_up" }
    }

    pub(crate) fn answered(mut self, visit: &Visit) {
        self.outcome = "ok";
        tracing::debug!(request_id = &*visit.request_id, operation = self.operation, "answered");
    }

    pub(crate) fn redirected(mut self) {
        self.outcome = "redirect";
    }

    pub(crate) fn failed(mut self, kind: Kind) {
        self.outcome = kind.as_str();
    }
}

impl Drop for Spanned {
    fn drop(&mut self) {
        let (operation, outcome) = (self.operation, self.outcome);
        let metrics = &self.edge.metrics;
        metrics.in_flight.dec();
        metrics.requests.get_or_create(&RequestLabels { operation, outcome }).inc();
        let took = self.began.elapsed();
        let seconds = metrics.request_seconds.get_or_create(&OperationLabels { operation });
        seconds.observe(took.as_secs_f64());
        tracing::debug!(operation, outcome, took_us = took.as_micros(), "request");
    }
}
