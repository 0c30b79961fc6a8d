//! People who act and ask all the time, through the public interface, and whose acknowledgements are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailiwick::client::ClientError;
use bailiwick_proto::v1;
use bailiwick_tests::cluster::Cluster;
use bailiwick_tests::person::{Person, of};
use bailiwick_tests::wait::eventually;
use futures::future::{join, join_all};
use serde_json::json;
use tokio::time::sleep;

use crate::invariants::{consent_is_fresh, lawful};
use crate::ledger::Ledger;

/// For what is only waited for.
const LONG: Duration = Duration::from_secs(120);
/// After an answer that is no acknowledgement.
const PAUSE: Duration = Duration::from_millis(20);
/// Every so many events a person declares another interest.
const INTEREST_EVERY: u64 = 8;
/// Every so many events one is sent again although it was acknowledged.
const AGAIN_EVERY: u64 = 5;
/// Consent may be so old where it is read.
const CONSENT_AGE_MAX: Duration = Duration::from_millis(1200);

/// The people of a run: their names.
#[must_use]
pub fn people(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("chaos-{at}")).collect()
}

/// Lets everybody consent, and waits until every replica must know.
pub async fn consent(cluster: &Cluster, people: &[String]) {
    for name in people {
        let person = Person::new(cluster, name, "EU-DE");
        eventually("consent is taken", LONG, || async {
            let body = json!({ "consent": "granted" });
            let put = person.at("eu").put::<_, v1::Consent>("/v1/me/consent", &body).await;
            put.map_err(|error| error.to_string())
        })
        .await;
    }
    sleep(CONSENT_AGE_MAX).await;
}

/// A workload under way. Dropped, it goes on; [`Workload::stop`] ends it.
#[derive(Debug, Clone)]
pub struct Workload {
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
}

impl Workload {
    /// A workload that writes into `ledger`.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger, stop: Arc::default() }
    }

    /// Lets everybody finish what they are doing.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// Everybody acts and asks until told to stop. `round` makes this round's ids its own.
    pub async fn run(&self, cluster: &Cluster, people: &[String], round: u64) {
        let acting = join_all(people.iter().map(|name| self.act(cluster, name, round)));
        let acting = join(acting, self.change_mind(cluster));
        let asking = join_all(["eu", "us", "in"].map(|at| self.ask(cluster, people, at)));
        join(join(acting, self.stock(cluster, round)), asking).await;
    }

    /// One event after the other, each sent again until it is acknowledged.
    async fn act(&self, cluster: &Cluster, name: &str, round: u64) {
        let person = Person::new(cluster, name, "EU-DE");
        let mut number = 0;
        while self.goes_on() {
            let id = format!("{round}-{number}");
            let body = json!([{ "id": id, "item": "drama-1", "kind": "view" }]);
            self.ledger.sends(name, &id);
            while self.goes_on() {
                match person.send_events("eu", &body).await {
                    Ok(raw) if matches!(raw.status.as_u16(), 200 | 202) => {
                        let said = bailiwick::client::read::<v1::RecordEventsResponse>(&raw);
                        let stored =
                            said.map_or_else(|error| error.to_string(), |said| said.stored);
                        self.ledger.acknowledged(name, &id, &stored);
                        break;
                    }
                    _ => sleep(PAUSE).await,
                }
            }
            number += 1;
            if number % AGAIN_EVERY == 0 {
                // An app that did not hear the acknowledgement. The outcome of the second time tells nothing.
                let _ = person.send_events("eu", &body).await;
            }
            if number % INTEREST_EVERY == 0 {
                self.declare(&person, name).await;
            }
        }
    }

    /// Declares the next interest: a register that only rises.
    async fn declare(&self, person: &Person<'_>, name: &str) {
        let next = {
            let mut entries = self.ledger.entries();
            let writes = entries.people.entry(name.to_owned()).or_default();
            let next = writes.interest_sent.map_or(1, |sent| sent + 1);
            writes.interest_sent = Some(next);
            next
        };
        let body = json!({ "categories": [format!("c-{next}")] });
        let put = person.at("eu").put::<_, serde_json::Value>("/v1/me/interests", &body).await;
        if put.is_ok() {
            let mut entries = self.ledger.entries();
            entries.people.entry(name.to_owned()).or_default().interest = Some(next);
        }
    }

    /// Somebody consents and refuses in turn, and asks after each: an answer knows the latest choice.
    async fn change_mind(&self, cluster: &Cluster) {
        let person = Person::new(cluster, "chaos-fickle", "EU-DE");
        for choice in ["granted", "refused"].into_iter().cycle() {
            let body = json!({ "consent": choice });
            let client = person.at("eu");
            let put = || client.put::<_, v1::Consent>("/v1/me/consent", &body);
            while self.goes_on() && put().await.is_err() {
                sleep(PAUSE).await;
            }
            if !self.goes_on() {
                return;
            }
            sleep(CONSENT_AGE_MAX).await;
            if let Ok(answer) = person.at("eu").post("/v1/recommendations", &of(5)).await {
                let mut entries = self.ledger.entries();
                entries.answers += 1;
                entries.unlawful.extend(consent_is_fresh::check(choice, &answer));
            }
        }
    }

    /// Puts items, each again until it is acknowledged.
    async fn stock(&self, cluster: &Cluster, round: u64) {
        let operator = cluster.operator("us");
        let mut number: u64 = 0;
        while self.goes_on() {
            let item = format!("stock-{round}-{number}");
            let put =
                v1::Item { item: item.clone(), title: number.to_string(), ..v1::Item::default() };
            while self.goes_on() {
                let answer = operator.put_items(std::slice::from_ref(&put)).await;
                if let Ok(answer) = answer {
                    let mut entries = self.ledger.entries();
                    entries.items.insert(item.clone(), number);
                    if answer.upserted != 1 || !answer.errors.is_empty() {
                        entries.unlawful.push(format!("item {item} was answered with {answer:?}"));
                    }
                    break;
                }
                sleep(PAUSE).await;
            }
            number += 1;
        }
    }

    /// Everybody asks for slates at one router, in turn.
    async fn ask(&self, cluster: &Cluster, people: &[String], at: &str) {
        for name in people.iter().cycle() {
            if !self.goes_on() {
                return;
            }
            let person = Person::new(cluster, name, "EU-DE");
            let answer = person.at(at).post("/v1/recommendations", &of(5)).await;
            note(&self.ledger, at, &answer);
            sleep(PAUSE).await;
        }
    }
}

/// Whether an answer says that the person's home could not be asked.
#[must_use]
pub fn without_home(answer: &v1::RecommendResponse) -> bool {
    let codes = answer.decision.iter().flat_map(|decision| &decision.reason_codes);
    codes.into_iter().any(|code| code == "HOME_UNREACHABLE")
}

/// Notes what a German adult who consented was answered at an edge.
pub fn note(ledger: &Ledger, at: &str, answer: &Result<v1::RecommendResponse, ClientError>) {
    let mut entries = ledger.entries();
    match answer {
        Ok(answer) => {
            entries.answers += 1;
            entries.without_home += u64::from(without_home(answer));
            entries.unlawful.extend(lawful::check(at, answer));
        }
        Err(error) => *entries.failures.entry(format!("{at}: {error}")).or_default() += 1,
    }
}
