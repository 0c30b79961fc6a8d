//! More than the cluster can do, open-loop: what is let in keeps its latency, the rest is told at once to come
//! back later, and memory does not grow with the crowd.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bailiwick::client::{Client, Raw};
use bailiwick_tests::catalogue;
use bailiwick_tests::cluster::{Cluster, Mode};
use bailiwick_tests::person::{Person, of};
use bailiwick_tests::wait::percentile;
use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};
use http::Method;
use tokio::time::{Instant, sleep_until};

use crate::ChaosError;
use crate::report::Run;
use crate::workload::consent;

const PATH: &str = "/v1/recommendations";
/// Clients that ask without a pause: what they get done is the capacity.
const CROWD: usize = 16;
/// For capacity and for the quiet latency.
const MEASURED: Duration = Duration::from_secs(4);
/// The limit may need so long to find its place.
const SETTLES: Duration = Duration::from_secs(2);
/// Of the capacity.
const LOADS: [f64; 4] = [0.5, 1.0, 2.0, 5.0];
/// What is under way at once at most; a generator that is itself overloaded measures nothing.
const UNDER_WAY_MAX: usize = 4096;
/// Of what is asked below the capacity, so much must be answered.
const ANSWERED: f64 = 0.9;
/// Goodput that must be left at twice and five times the capacity.
const GOODPUT_LEFT: f64 = 0.7;
/// The bound on the latency of what is let in, over the quiet one. Crowd and cluster share the machine, so
/// both are also compared at half load.
const SLOWER_MAX: f64 = 2.0;
/// Memory may grow by this share.
const GROWTH_MAX: f64 = 0.25;

/// What the run is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Seconds at each load.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
}

/// What one load showed.
struct Shown {
    load: f64,
    asked: usize,
    admitted: Vec<Duration>,
    shed: Vec<Duration>,
    unhelpful: usize,
    errors: usize,
    took: Duration,
}

/// Measures capacity and quiet latency, then asks for half of it, all of it, twice and five times as much.
///
/// # Errors
/// [`ChaosError`] when no cluster can be started.
pub async fn run(args: &Args) -> Result<Run, ChaosError> {
    let state = tempfile::tempdir()?;
    let (binary, path) = (std::env::current_exe()?, state.path().join("state"));
    let cluster = Cluster::start_on(&binary, Mode::Processes, &path, &[]);
    let mut run = Run::new("overload", 0);
    catalogue::load(&cluster).await;
    consent(&cluster, &["crowd".to_owned()]).await;
    let processes = processes(&cluster.state());
    run.notes.push(apart(&processes));
    let client = Person::new(&cluster, "crowd", "EU-DE").at("eu");
    closed(&client, CROWD, SETTLES).await;
    let quiet = closed(&client, 1, MEASURED).await;
    if quiet.is_empty() {
        run.fault(0, 0, vec!["a single client gets no answer".to_owned()]);
        return Ok(run);
    }
    let quiet_p99 = percentile(&quiet, 99);
    let busy = closed(&client, CROWD, MEASURED).await;
    let capacity = busy.len() as f64 / MEASURED.as_secs_f64();
    run.notes.push(format!(
        "quiet p50 {:.2} ms, p99 {:.2} ms; {CROWD} clients without a pause: {capacity:.0} a second",
        millis(percentile(&quiet, 50)),
        millis(quiet_p99)
    ));
    let before = memory(&processes);
    let (mut asked, mut found) = (0, Vec::new());
    for load in LOADS {
        open(&client, load * capacity, SETTLES).await;
        let shown = Shown {
            load,
            ..open(&client, load * capacity, Duration::from_secs(args.seconds)).await
        };
        asked += shown.asked;
        run.notes.push(shown.line());
        found.extend(shown.wrong(capacity, quiet_p99));
    }
    let after = memory(&processes);
    run.notes.push(format!(
        "memory of all processes: {} MiB before, {} after",
        before >> 20,
        after >> 20
    ));
    if after as f64 > before as f64 * (1.0 + GROWTH_MAX) {
        found.push("memory grew with the crowd".to_owned());
    }
    run.fault(0, asked as u64, found);
    Ok(run)
}

async fn ask(client: &Client, body: &Bytes) -> Option<Raw> {
    client.send(Method::POST, PATH, body.clone()).await.ok()
}

fn body() -> Bytes {
    serde_json::to_vec(&of(10)).unwrap_or_default().into()
}

/// Clients that ask again as soon as they are answered; the times of what was answered.
async fn closed(client: &Client, clients: usize, lasts: Duration) -> Vec<Duration> {
    let end = Instant::now() + lasts;
    let one = || async {
        let (body, mut took) = (body(), Vec::new());
        while Instant::now() < end {
            let began = Instant::now();
            if ask(client, &body).await.is_some_and(|raw| raw.status.is_success()) {
                took.push(began.elapsed());
            }
        }
        took
    };
    join_all((0..clients).map(|_| one())).await.into_iter().flatten().collect()
}

/// Requests that are due at fixed times, whatever became of the earlier ones.
async fn open(client: &Client, rate: f64, lasts: Duration) -> Shown {
    let mut shown = Shown {
        load: 0.0,
        asked: 0,
        admitted: Vec::new(),
        shed: Vec::new(),
        unhelpful: 0,
        errors: 0,
        took: lasts,
    };
    let (start, body) = (Instant::now(), body());
    let one = |due: Instant| {
        let body = &body;
        async move { (ask(client, body).await, due.elapsed()) }
    };
    let mut under_way = FuturesUnordered::new();
    loop {
        let due = start + Duration::from_secs_f64(shown.asked as f64 / rate);
        if due >= start + lasts {
            break;
        }
        while under_way.len() >= UNDER_WAY_MAX || Instant::now() < due {
            let full = under_way.len() >= UNDER_WAY_MAX;
            tokio::select! {
                biased;
                Some(answer) = under_way.next(), if !under_way.is_empty() => shown.add(answer),
                () = sleep_until(due), if !full => break,
            }
        }
        shown.asked += 1;
        under_way.push(one(due));
    }
    while let Some(answer) = under_way.next().await {
        shown.add(answer);
    }
    shown.took = start.elapsed();
    shown
}

impl Shown {
    fn add(&mut self, (raw, took): (Option<Raw>, Duration)) {
        match raw {
            Some(raw) if raw.status.is_success() => self.admitted.push(took),
            Some(raw) if raw.status.as_u16() == 429 => {
                self.shed.push(took);
                let told = raw.headers.contains_key(http::header::RETRY_AFTER);
                self.unhelpful += usize::from(!told);
            }
            _ => self.errors += 1,
        }
    }

    fn goodput(&self) -> f64 {
        self.admitted.len() as f64 / self.took.as_secs_f64()
    }

    fn line(&self) -> String {
        let of = |times: &[Duration], percent| match times {
            [] => "-".to_owned(),
            times => format!("{:.2} ms", millis(percentile(times, percent))),
        };
        format!(
            "{:.1} x capacity: {} asked, goodput {:.0}/s, p50 {}, p99 {}; {} shed, p99 {}; {} errors",
            self.load,
            self.asked,
            self.goodput(),
            of(&self.admitted, 50),
            of(&self.admitted, 99),
            self.shed.len(),
            of(&self.shed, 99),
            self.errors
        )
    }

    fn wrong(&self, capacity: f64, quiet_p99: Duration) -> Vec<String> {
        let mut found = Vec::new();
        let mut hold = |holds: bool, what: String| {
            if !holds {
                found.push(format!("at {:.1} x capacity {what}", self.load));
            }
        };
        let due = capacity * (self.load * ANSWERED).min(GOODPUT_LEFT);
        hold(self.goodput() >= due, format!("goodput is {:.0}/s", self.goodput()));
        hold(self.errors == 0, format!("{} requests got neither answer nor delay", self.errors));
        hold(self.unhelpful == 0, format!("{} were shed without a delay", self.unhelpful));
        if let Some(p99) = (!self.admitted.is_empty()).then(|| percentile(&self.admitted, 99)) {
            let bound = quiet_p99.mul_f64(SLOWER_MAX);
            hold(p99 <= bound, format!("p99 is {:.2} ms, over {:.2}", millis(p99), millis(bound)));
        }
        found
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The ids of all nodes and routers of a cluster.
fn processes(dir: &Path) -> Vec<String> {
    let folders = ["nodes", "routers"].map(|kind| fs::read_dir(dir.join(kind)));
    let folders = folders.into_iter().flatten().flatten().flatten();
    let pids = folders.filter_map(|entry| fs::read_to_string(entry.path().join("pid")).ok());
    pids.map(|pid| pid.trim().to_owned()).collect()
}

/// Gives the cluster one core and the crowd another, so that the crowd does not take what it asks for.
fn apart(processes: &[String]) -> String {
    let own = std::process::id().to_string();
    let moved = |core: &str, pid: &String| {
        let done = Command::new("taskset").args(["-acp", core, pid]).output();
        done.is_ok_and(|output| output.status.success())
    };
    match processes.iter().all(|pid| moved("0", pid)) && moved("1", &own) {
        true => "the cluster has one core, the crowd another".to_owned(),
        false => "the crowd shares its cores with the cluster".to_owned(),
    }
}

/// Resident bytes of all processes.
fn memory(processes: &[String]) -> u64 {
    let resident = |pid: &String| -> Option<u64> {
        let status = fs::read_to_string(Path::new("/proc").join(pid).join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
    };
    processes.iter().filter_map(resident).sum()
}
