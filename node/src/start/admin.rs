//! The operators' port: health without a token, numbers without a personal value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use bailiwick_core::limits;
use bailiwick_net::Supervisor;
use bailiwick_net::metrics::SampleType;
use openraft::async_runtime::WatchReceiver as _;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::net::TcpListener;

use super::error::StartError;
use crate::cluster::Group;
use crate::generations::How;
use crate::service::State;

/// A replica that was confirmed longer ago than this has not caught up.
const CAUGHT_UP: Duration = Duration::from_secs(5);

/// What `/readyz` answers.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// What is still missing.
    pending: Vec<String>,
}

/// The operators' services.
pub(super) struct Admin {
    state: Arc<State>,
    registry: Arc<Registry>,
}

impl Admin {
    pub(super) fn new(state: Arc<State>) -> Self {
        let mut registry = Registry::with_prefix("bailiwick");
        registry.register_collector(Box::new(Numbers(Arc::clone(&state))));
        Self { state, registry: Arc::new(registry) }
    }

    pub(super) fn serve(
        self,
        listener: TcpListener,
        services: &Supervisor,
    ) -> Result<(), StartError> {
        let stop = services.token();
        let app = Router::new()
            .route("/livez", get(|| async { "ok" }))
            .route("/readyz", get(readyz))
            .with_state(Arc::clone(&self.state))
            .merge(Router::new().route("/metrics", get(metrics)).with_state(self.registry));
        services.spawn("admin", async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = served.await {
                tracing::error!(%error, "the admin port ended");
            }
        });
        Ok(())
    }
}

async fn readyz(extract::State(state): extract::State<Arc<State>>) -> impl IntoResponse {
    let pending = state.pending();
    let status = if pending.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: pending.is_empty(), pending }))
}

async fn metrics(extract::State(registry): extract::State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl State {
    /// What keeps this node from being ready, in words.
    #[must_use]
    pub fn pending(&self) -> Vec<String> {
        let mut pending: Vec<String> = self
            .groups
            .iter()
            .filter(|group| group.age().is_none_or(|age| age > CAUGHT_UP))
            .map(|group| format!("group {} has not caught up", group.id()))
            .collect();
        if !self.control.view().nodes.contains_key(&self.identity.name) {
            pending.push("this node is not registered".into());
        }
        if self.control.view().packs.packs().next().is_none() {
            pending.push("no policy pack is known".into());
        }
        if self.law.lease_left().is_zero() {
            pending.push("the lease on the policy packs has run out".into());
        }
        let skew = self.heard.skew_ms();
        if skew.abs() > limits::CLOCK_SKEW_MS_MAX {
            pending.push(format!("this node's clock is {} ms off its peers'", -skew));
        }
        pending
    }
}

/// What is told of a group. Position and digest are of one moment, so that those of two replicas at the same
/// position can be compared.
struct GroupRow {
    group: String,
    term: i64,
    applied: i64,
    digest: i64,
    leads: i64,
}

impl GroupRow {
    fn of(group: &Group) -> Self {
        let term = group.raft().metrics().borrow_watched().current_term;
        let state = group.reader().state();
        Self {
            group: group.id().to_string(),
            term: signed(term),
            applied: signed(state.applied_index()),
            digest: signed(state.hash.short()),
            leads: i64::from(group.leads()),
        }
    }
}

/// Reads the numbers when they are asked for.
struct Numbers(Arc<State>);

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Numbers")
    }
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.encode_groups(&mut encoder)?;
        self.encode_catalogue(&mut encoder)?;
        self.encode_generations(&mut encoder)?;
        self.encode_net(&mut encoder)
    }
}

impl Numbers {
    fn encode_groups(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let rows: Vec<GroupRow> = self.0.groups.iter().map(|group| GroupRow::of(group)).collect();
        let mut family = |name: &str, help: &str, value: &dyn Fn(&GroupRow) -> i64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            rows.iter().try_for_each(|row| {
                let labels = [("group", row.group.as_str())];
                ConstGauge::new(value(row)).encode(family.encode_family(&labels)?)
            })
        };
        family("raft_term", "The term of each group", &|row| row.term)?;
        family("raft_applied_log_index", "The last log index applied", &|row| row.applied)?;
        family("raft_applied_digest", "Equal on replicas that applied the same", &|row| {
            row.digest
        })?;
        family("raft_leads", "1 where this node leads", &|row| row.leads)
    }

    fn encode_catalogue(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let items = i64::try_from(self.0.catalogue.view().len()).unwrap_or(i64::MAX);
        let waiting = self.0.buffer.waiting();
        let batches = i64::try_from(waiting.batches).unwrap_or(i64::MAX);
        let lease = i64::try_from(self.0.law.lease_left().as_secs()).unwrap_or(i64::MAX);
        for (name, help, value) in [
            ("catalogue_items", "Items of the catalogue", items),
            ("buffered_batches", "Batches of events that wait for their group", batches),
            ("policy_lease_seconds", "What is left of the lease on the packs", lease),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)?;
        }
        Ok(())
    }

    fn encode_generations(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Generations of the item index, by what this node did with them";
        let kind = MetricType::Counter;
        let mut family = encoder.encode_descriptor("index_generations", help, None, kind)?;
        How::ALL.iter().try_for_each(|how| {
            let count = ConstCounter::new(self.0.generations.counts.of(*how));
            count.encode(family.encode_family(&[("how", how.as_str())])?)
        })?;
        let pending = self.0.catalogue.index().map_or(0, |index| index.pending());
        let help = "Vectors that wait for the next generation";
        let metric = encoder.encode_descriptor("index_pending", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(pending).unwrap_or(i64::MAX)).encode(metric)
    }

    fn encode_net(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut samples = self.0.mesh.metrics().snapshot();
        samples.sort_by_key(|sample| sample.name);
        for family in samples.chunk_by(|a, b| a.name == b.name) {
            let Some(first) = family.first() else { continue };
            let kind = match first.sample_type {
                SampleType::Counter => MetricType::Counter,
                SampleType::Gauge => MetricType::Gauge,
            };
            // A counter's suffix is the encoder's to add.
            let name = first.name.trim_end_matches("_total");
            let mut encoder = encoder.encode_descriptor(name, "Links between nodes", None, kind)?;
            for sample in family {
                let metric = encoder.encode_family(&sample.labels)?;
                match sample.sample_type {
                    SampleType::Counter => ConstCounter::new(sample.value).encode(metric)?,
                    SampleType::Gauge => ConstGauge::new(signed(sample.value)).encode(metric)?,
                }
            }
        }
        Ok(())
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
