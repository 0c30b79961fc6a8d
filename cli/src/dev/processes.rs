//! Every node and router as a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bailiwick_net::Supervisor;
use futures::future::join_all;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::error::DevError;
use super::place::Place;
use super::plan::Plan;

/// A process that ended unasked is started again after this pause.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Processes {
    tasks: Supervisor,
}

/// What to run.
#[derive(Clone)]
struct Job {
    kind: &'static str,
    config: PathBuf,
    dir: PathBuf,
    place: Option<Place>,
}

pub(super) fn start(plan: &Plan, no_restart: bool) -> Result<Processes, DevError> {
    let binary =
        std::env::current_exe().map_err(DevError::io("find", Path::new("this program")))?;
    let tasks = Supervisor::new();
    let nodes = plan.nodes().map(|n| Job {
        kind: "node",
        config: n.config.clone(),
        dir: n.dir.clone(),
        place: n.place.clone(),
    });
    let routers = plan.routers().map(|r| Job {
        kind: "router",
        config: r.config.clone(),
        dir: r.dir.clone(),
        place: r.place.clone(),
    });
    for job in nodes.chain(routers) {
        let child = spawn(&binary, &job)?;
        let keeping = keep(binary.clone(), job, child, tasks.token(), no_restart);
        tasks.spawn("process", keeping);
    }
    Ok(Processes { tasks })
}

/// Starts a process that stops when its standard input is closed: it can't outlive this one.
fn spawn(binary: &Path, job: &Job) -> Result<Child, DevError> {
    let log = job.dir.join("log.txt");
    let out = File::options().create(true).append(true).open(&log);
    let out = out.map_err(DevError::io("open", &log))?;
    let err = out.try_clone().map_err(DevError::io("open", &log))?;
    let child = Command::from(Place::command(job.place.as_ref(), binary))
        .arg(job.kind)
        .arg("--config")
        .arg(&job.config)
        .arg("--with-parent")
        .stdin(Stdio::piped())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn()
        .map_err(DevError::io("start", binary))?;
    let pid = job.dir.join("pid");
    let id = child.id().unwrap_or_default().to_string();
    fs::write(&pid, id).map_err(DevError::io("write", &pid))?;
    Ok(child)
}

async fn keep(
    binary: PathBuf,
    job: Job,
    mut child: Child,
    stop: tokio_util::sync::CancellationToken,
    no_restart: bool,
) {
    loop {
        // Waiting for a child closes its input, which would tell it to stop: it is held here instead.
        let input = child.stdin.take();
        tokio::select! {
            ended = child.wait() => {
                tracing::warn!(job = %job.dir.display(), ?ended, "a process ended");
            }
            () = stop.cancelled() => {
                drop(input);
                let _ = child.wait().await;
                return;
            }
        }
        if no_restart {
            stop.cancelled().await;
            return;
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = stop.cancelled() => return,
        }
        match spawn(&binary, &job) {
            Ok(next) => child = next,
            Err(error) => {
                tracing::error!(%error, "a process can't be started again");
                return;
            }
        }
    }
}

impl Processes {
    pub(super) async fn stop(self, grace: Duration) {
        // Children that outlive the grace are ended by the runtime's hand, not left behind.
        let stopped = join_all([timeout(grace, self.tasks.shutdown(grace))]).await;
        drop(stopped);
    }
}
