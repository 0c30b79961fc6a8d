//! Waiting until the cluster is ready.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde::Deserialize;
use tokio::time::sleep;

use super::error::DevError;
use super::plan::Plan;
use crate::client::Client;

/// A cluster that is not ready by then has a fault.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between looks.
const EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Readiness {
    ready: bool,
    pending: Vec<String>,
}

pub(super) async fn ready(plan: &Plan, progress: &ProgressBar) -> Result<(), DevError> {
    let began = Instant::now();
    let nodes = plan.nodes().map(|node| (node.name.clone(), node.admin));
    let routers = plan.routers().map(|r| (format!("the router of {}", r.domain), r.admin));
    let mut waiting: Vec<(String, std::net::SocketAddr)> = nodes.chain(routers).collect();
    let all = waiting.len();
    while let Some((name, address)) = waiting.first() {
        let pending = look(*address).await;
        if pending.is_empty() {
            waiting.remove(0);
            progress.set_message(format!("{} of {all} are ready", all - waiting.len()));
            continue;
        }
        progress.set_message(format!("{name}: {}", pending.join(", ")));
        if began.elapsed() > PATIENCE {
            let pending = format!("{name}: {}", pending.join(", "));
            return Err(DevError::NotReady { after: PATIENCE, pending });
        }
        sleep(EVERY).await;
    }
    Ok(())
}

/// What a process still waits for.
async fn look(address: std::net::SocketAddr) -> Vec<String> {
    let Ok(client) = Client::new(&format!("http://{address}")) else {
        return vec!["its address is not well-formed".into()];
    };
    let client = client.with_deadline(Duration::from_secs(2));
    match client.send(http::Method::GET, "/readyz", bytes::Bytes::new()).await {
        Ok(raw) if raw.status.is_success() => Vec::new(),
        Ok(raw) => {
            let read: Readiness = serde_json::from_slice(&raw.body).unwrap_or_default();
            if read.pending.is_empty() { vec!["not ready".into()] } else { read.pending }
        }
        Err(error) => vec![error.to_string()],
    }
}
