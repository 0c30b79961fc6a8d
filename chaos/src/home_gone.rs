//! A whole domain gone under load: its people are answered by the others, lawfully, and nothing of them is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bailiwick_proto::v1;
use bailiwick_tests::catalogue;
use bailiwick_tests::cluster::Cluster;
use bailiwick_tests::person::{Person, of};
use bailiwick_tests::wait::{eventually, percentile};
use futures::future::{join, join_all};
use tokio::time::sleep;

use crate::ChaosError;
use crate::fault::{Fault, Ground, start};
use crate::invariants;
use crate::ledger::Ledger;
use crate::report::Run;
use crate::spaces::Spaces;
use crate::workload::{consent, note, people, without_home};

const PEOPLE: usize = 6;
/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(10);
/// Until the loss is noticed answers may take half their deadline; what is counted as late comes after.
const NOTICED: Duration = Duration::from_secs(3);
/// Full service is due so long after home's return.
const BACK: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(60);

/// What the run is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Seconds for which home is gone.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub seconds: u64,
    /// Cut the wires between home and the other domains instead of killing its nodes. Needs root.
    #[arg(long)]
    pub cut: bool,
}

/// Takes `eu` away for a while, asks for its people at the other edges all the time, and looks at what
/// they got.
///
/// # Errors
/// [`ChaosError`] when no cluster can be started, or wires are to be cut and there are none.
pub async fn run(args: &Args, spaces: Option<&Spaces>) -> Result<Run, ChaosError> {
    let state = tempfile::tempdir()?;
    let cluster = start(spaces, &state.path().join("state"), &[])?;
    let ground = Ground { cluster: &cluster, spaces };
    let fault = if args.cut { Fault::CutOff } else { Fault::DomainGone };
    if fault.needs_spaces() && spaces.is_none() {
        return Err(ChaosError::NoWires);
    }
    let everybody = people(PEOPLE);
    let mut run = Run::new("home-gone", 0);
    catalogue::load(&cluster).await;
    consent(&cluster, &everybody).await;
    let (ledger, stop) = (Arc::new(Ledger::default()), Arc::new(AtomicBool::new(false)));
    let asking = join_all(["us", "in"].map(|at| ask(&cluster, &everybody, at, &ledger, &stop)));
    let losing = async {
        sleep(Duration::from_secs(1)).await;
        let (gone, lasts) = (Instant::now(), Duration::from_secs(args.seconds));
        ground.hurt_domain(fault, "eu", lasts).await;
        ground.give_back("eu");
        let back = served_at_home(&cluster, &everybody).await;
        sleep(Duration::from_secs(1)).await;
        stop.store(true, Ordering::SeqCst);
        (gone, back)
    };
    let (asked, (gone, back)) = join(asking, losing).await;
    run.healed(back);
    let asked: Vec<Asked> = asked.into_iter().flatten().collect();
    let entries = ledger.entries().clone();
    let mut found = entries.unlawful.clone();
    found.extend(entries.failures.iter().map(|(why, times)| format!("{times} x {why}")));
    if back > BACK {
        found.push(format!("full service came back after {:.1} s", back.as_secs_f64()));
    }
    run.notes.extend(told(&asked, gone + NOTICED, Duration::from_secs(args.seconds) - NOTICED));
    found.extend(invariants::check(&cluster, &entries).await);
    run.fault(0, entries.answers, found);
    Ok(run)
}

/// A request: when it was sent, how long it took, and what it got.
struct Asked {
    at: Instant,
    took: Duration,
    without_home: bool,
}

async fn ask(
    cluster: &Cluster,
    everybody: &[String],
    at: &str,
    ledger: &Ledger,
    stop: &AtomicBool,
) -> Vec<Asked> {
    let mut asked = Vec::new();
    for name in everybody.iter().cycle() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let person = Person::new(cluster, name, "EU-DE");
        let began = Instant::now();
        let answer = person.at(at).post("/v1/recommendations", &of(5)).await;
        asked.extend(answer.as_ref().ok().map(|answer: &v1::RecommendResponse| Asked {
            at: began,
            took: began.elapsed(),
            without_home: without_home(answer),
        }));
        note(ledger, at, &answer);
        sleep(PAUSE).await;
    }
    asked
}

/// Waits until every edge serves its people with their profile again, and home takes their events.
async fn served_at_home(cluster: &Cluster, everybody: &[String]) -> Duration {
    let began = Instant::now();
    for (number, name) in everybody.iter().enumerate() {
        let person = Person::new(cluster, name, "EU-DE");
        for at in ["eu", "us", "in"] {
            eventually("a profile is used again", LONG, || async {
                let answer = person.at(at).post("/v1/recommendations", &of(5)).await;
                let answer: v1::RecommendResponse = answer.map_err(|error| error.to_string())?;
                let variant = answer.decision.map(|decision| decision.variant).unwrap_or_default();
                if variant == "profile_std" { Ok(()) } else { Err(variant) }
            })
            .await;
        }
        let event = serde_json::json!([{ "id": format!("back-{number}"), "item": "drama-1", "kind": "view" }]);
        eventually("an event is taken again", LONG, || async {
            let raw = person.send_events("eu", &event).await?;
            if raw.status.as_u16() == 200 { Ok(()) } else { Err(raw.status.to_string()) }
        })
        .await;
    }
    began.elapsed()
}

fn told(asked: &[Asked], from: Instant, lasts: Duration) -> Vec<String> {
    let without = asked.iter().filter(|asked| asked.without_home).count();
    let after: Vec<Duration> = asked
        .iter()
        .filter(|asked| asked.at >= from && asked.at < from + lasts)
        .map(|asked| asked.took)
        .collect();
    let worst = asked.iter().map(|asked| asked.took).max().unwrap_or_default();
    let mut notes = vec![format!(
        "{} answered, {without} of them without home; the slowest took {:.0} ms",
        asked.len(),
        worst.as_secs_f64() * 1e3
    )];
    if !after.is_empty() {
        notes.push(format!(
            "once the loss was noticed: p50 {:.1} ms, p99 {:.1} ms",
            percentile(&after, 50).as_secs_f64() * 1e3,
            percentile(&after, 99).as_secs_f64() * 1e3
        ));
    }
    notes
}
