//! Who acts in a simulation: people at home in Germany, one who changes their mind, and an operator who
//! stocks the catalogue. What they were told goes to the ledger and to the histories.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailiwick_proto::v1;
use futures::future::{join, join_all};
use http::{Method, StatusCode};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::SimError;
use super::client::{Answer, Client};
use super::history::{Act, Histories, Operation};
use super::tap::MARK;
use super::trace::Trace;
use super::world::{ROUTERS, World};
use crate::invariants::{consent_is_fresh, lawful};
use crate::ledger::Ledger;
use crate::sim::checks::{filters, floors};

/// People who consented, once and for all.
pub const STEADY: [&str; 3] = ["ada", "ben", "cleo"];
/// One who changes their mind.
pub const FICKLE: &str = "finn";
/// One who is erased, and comes back, again and again.
pub const ERASED: &str = "ella";
/// Whose interests are a register.
pub const REGISTERS: [&str; 2] = ["ida", "jan"];
/// Where they are at home.
pub const HOME: &str = "EU-DE";
/// A promise: who asks for what is theirs is not told that it is not, whatever goes wrong.
pub const REFUSED: &str = "nothing is refused for good";
/// Items that are written over and over.
pub const ITEMS: [&str; 3] = ["stock-1", "stock-2", "stock-3"];
/// Items of the shelf.
pub const SHELF: u64 = 12;

const PERSON: &str = "recommend events person";
const OPERATOR: &str = "items:write recommend";
/// What is read of a person at home may be so old.
const STALE: Duration = Duration::from_secs(1);
/// After a choice was taken, every replica knows it, or knows that it does not know.
const KNOWN_AFTER: Duration = Duration::from_millis(1200);
/// Between what somebody does, in milliseconds.
const THINKS_MS: std::ops::Range<u64> = 60..420;

/// Everybody, and what they were told. Clones are the same.
#[derive(Clone)]
pub struct People {
    clients: Arc<Clients>,
    /// Events, answers.
    pub ledger: Arc<Ledger>,
    /// Registers.
    pub histories: Arc<Histories>,
    trace: Trace,
    seed: u64,
    next: Arc<AtomicU64>,
    /// Events that were sent before an erasure.
    gone: Arc<Mutex<BTreeSet<String>>>,
    stop: Arc<AtomicBool>,
}

struct Clients(Vec<(String, String, Client)>);

impl Clients {
    fn of(&self, person: &str, domain: &str) -> Option<&Client> {
        let found = self.0.iter().find(|(name, at, _)| name == person && at == domain);
        found.map(|(_, _, client)| client)
    }
}

fn clients(world: &World) -> Result<Clients, SimError> {
    let people = STEADY.iter().chain([&FICKLE, &ERASED]).chain(&REGISTERS);
    let everybody = people.map(|name| (*name, PERSON)).chain([("operator", OPERATOR)]);
    let mut clients = Vec::new();
    for (name, scopes) in everybody {
        let token = world.token(name, HOME, scopes)?;
        for (domain, desk) in &world.desks {
            clients.push((name.to_owned(), domain.clone(), Client::new(desk, &token)));
        }
    }
    Ok(Clients(clients))
}

fn on_shelf(at: u64) -> String {
    format!("shelf-{at}")
}

/// Too few to be on a slate by themselves as often as the packs of their home ask for.
fn local(at: u64) -> bool {
    at.is_multiple_of(4)
}

fn is_local(item: &str) -> bool {
    (1..=SHELF).any(|at| local(at) && on_shelf(at) == item)
}

impl People {
    /// Everybody before the routers of a world.
    ///
    /// # Errors
    /// [`SimError`] when a token can't be made.
    pub fn new(world: &World) -> Result<Self, SimError> {
        Ok(Self {
            clients: Arc::new(clients(world)?),
            ledger: Arc::default(),
            histories: Arc::default(),
            trace: world.trace.clone(),
            seed: world.seed,
            next: Arc::default(),
            gone: Arc::default(),
            stop: Arc::default(),
        })
    }

    /// Lets everybody finish what they are doing.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn dice(&self, of: &str) -> ChaCha8Rng {
        let of =
            of.bytes().fold(self.seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        ChaCha8Rng::seed_from_u64(of)
    }

    async fn send(
        &self,
        who: (&str, &str),
        method: Method,
        path: &str,
        body: &Value,
    ) -> Option<Answer> {
        let client = self.clients.of(who.0, who.1)?;
        let answer = client.send(method.clone(), path, body).await;
        self.trace.line(format_args!("{}@{} {method} {path}: {}", who.0, who.1, answer.words()));
        // All of them ask for what is theirs: whatever goes wrong passes.
        if answer.status == StatusCode::FORBIDDEN {
            let words = format!("{REFUSED}: {} {method} {path}: {}", who.0, answer.words());
            self.ledger.entries().unlawful.push(words);
        }
        Some(answer)
    }

    /// The shelf is stocked and the steady ones consent. Repeated until it is taken.
    pub async fn settle(&self) {
        for at in 1..=SHELF {
            let item = json!({
                "item": on_shelf(at), "title": format!("Title {at}"), "category": ["drama"],
                "language": "de", "editorial_rank": at, "origin": local(at).then_some(HOME),
            });
            while self.goes_on()
                && !self.stock("eu", &item).await.is_some_and(|a| a.status.is_success())
            {
                sleep(KNOWN_AFTER).await;
            }
        }
        for person in STEADY {
            let body = json!({ "consent": "granted" });
            while self.goes_on() {
                let put = self.send((person, "eu"), Method::PUT, "/v1/me/consent", &body).await;
                if put.is_some_and(|answer| answer.status.is_success()) {
                    break;
                }
                sleep(KNOWN_AFTER).await;
            }
        }
        sleep(KNOWN_AFTER).await;
    }

    async fn stock(&self, at: &str, item: &Value) -> Option<Answer> {
        let client = self.clients.of("operator", at)?;
        let kind = "application/x-ndjson";
        let answer = client.send_text(Method::PUT, "/v1/items", kind, format!("{item}\n")).await;
        self.trace.line(format_args!("operator@{at} PUT items: {}", answer.words()));
        Some(answer)
    }

    /// Everybody acts until told to stop.
    pub async fn act(&self) {
        let steady = join_all(STEADY.map(|person| self.live(person)));
        let twice = REGISTERS.iter().flat_map(|person| [(*person, 1), (*person, 2)]);
        let registers = join_all(twice.map(|(person, hand)| self.declare(person, hand)));
        let stocking = join_all(["eu", "us"].map(|at| self.restock(at)));
        let minds = join(self.change_mind(), self.come_and_go());
        join(join(steady, registers), join(stocking, minds)).await;
    }

    /// Sends events, some of them again, and asks for slates, at home and abroad.
    async fn live(&self, person: &str) {
        let mut dice = self.dice(person);
        while self.goes_on() {
            sleep(Duration::from_millis(dice.random_range(THINKS_MS))).await;
            match dice.random_range(0..3) {
                0 => self.ask(person, &mut dice).await,
                _ => self.event(person, &mut dice).await,
            }
        }
    }

    async fn event(&self, person: &str, dice: &mut ChaCha8Rng) {
        let id = format!("{MARK}{}", self.number());
        let item = on_shelf(dice.random_range(1..=SHELF));
        let kind = ["view", "like", "play"].get(dice.random_range(0..3)).copied().unwrap_or("view");
        let body = json!({ "events": [{ "id": id, "item": item, "kind": kind }] });
        self.ledger.sends(person, &id);
        for _ in 0..dice.random_range(1..4) {
            let answer = self.send((person, "eu"), Method::POST, "/v1/events", &body).await;
            if let Some(said) = answer.and_then(|a| a.read::<v1::RecordEventsResponse>()) {
                self.ledger.acknowledged(person, &id, &said.stored);
                // Now and then the app does not hear it, and sends again.
                if dice.random_ratio(3, 4) {
                    return;
                }
            }
            sleep(Duration::from_millis(dice.random_range(THINKS_MS))).await;
        }
    }

    async fn ask(&self, person: &str, dice: &mut ChaCha8Rng) {
        let at = ROUTERS.get(dice.random_range(0..ROUTERS.len())).map_or("eu", |(_, at, _)| *at);
        let exclude = on_shelf(dice.random_range(1..=SHELF));
        let body = json!({ "limit": 5, "exclude": [exclude] });
        let Some(answer) =
            self.send((person, at), Method::POST, "/v1/recommendations", &body).await
        else {
            return;
        };
        let mut entries = self.ledger.entries();
        match answer.read::<v1::RecommendResponse>() {
            Some(slate) => {
                entries.answers += 1;
                entries
                    .unlawful
                    .extend(lawful::check(at, &slate).map(|found| format!("lawful: {found}")));
                let filtered = filters::check(&slate, 5, &[&exclude]);
                entries.unlawful.extend(filtered.map(|found| format!("filters hold: {found}")));
                let floors = floors::check(&slate, is_local);
                entries.unlawful.extend(floors.map(|found| format!("floors hold: {found}")));
                drop(entries);
                let variant = slate.decision.map(|decision| decision.variant);
                self.trace.line(format_args!("  {} items by {variant:?}", slate.items.len()));
            }
            None => *entries.failures.entry(answer.words()).or_default() += 1,
        }
    }

    /// Consents and refuses in turn, and asks after each.
    async fn change_mind(&self) {
        let mut dice = self.dice(FICKLE);
        for choice in ["granted", "refused"].into_iter().cycle() {
            let body = json!({ "consent": choice });
            loop {
                if !self.goes_on() {
                    return;
                }
                let put = self.send((FICKLE, "eu"), Method::PUT, "/v1/me/consent", &body).await;
                if put.is_some_and(|answer| answer.status.is_success()) {
                    break;
                }
                sleep(Duration::from_millis(dice.random_range(THINKS_MS))).await;
            }
            sleep(KNOWN_AFTER).await;
            self.is_known(choice).await;
        }
    }

    /// Consents, does something, is erased, and sends some of it again.
    async fn come_and_go(&self) {
        let mut dice = self.dice(ERASED);
        while self.goes_on() {
            let granted = json!({ "consent": "granted" });
            self.until_taken(Method::PUT, "/v1/me/consent", &granted, &mut dice).await;
            let (mut sent, mut stored) = (BTreeSet::new(), Vec::new());
            for _ in 0..dice.random_range(1..5) {
                let id = format!("{MARK}{}", self.number());
                sent.insert(id.clone());
                let item = on_shelf(dice.random_range(1..=SHELF));
                let body = json!({ "events": [{ "id": id, "item": item, "kind": "like" }] });
                let answer = self.send((ERASED, "eu"), Method::POST, "/v1/events", &body).await;
                let said = answer.and_then(|answer| answer.read::<v1::RecordEventsResponse>());
                // What was never stored may be sent as something new.
                if said.is_some_and(|said| said.accepted == 1 && said.stored == "linked@eu") {
                    stored.push(body);
                }
                sleep(Duration::from_millis(dice.random_range(THINKS_MS))).await;
            }
            if !self.until_taken(Method::DELETE, "/v1/me", &Value::Null, &mut dice).await {
                return;
            }
            self.gone.lock().unwrap_or_else(PoisonError::into_inner).append(&mut sent);
            for body in stored.iter().filter(|_| dice.random_ratio(1, 2)) {
                self.send((ERASED, "eu"), Method::POST, "/v1/events", body).await;
            }
        }
    }

    /// Sends until it is taken; whether it was.
    async fn until_taken(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        dice: &mut ChaCha8Rng,
    ) -> bool {
        while self.goes_on() {
            let answer = self.send((ERASED, "eu"), method.clone(), path, body).await;
            if answer.is_some_and(|answer| answer.status.is_success()) {
                return true;
            }
            sleep(Duration::from_millis(dice.random_range(THINKS_MS))).await;
        }
        false
    }

    /// What was sent before an erasure that was acknowledged.
    #[must_use]
    pub fn gone(&self) -> BTreeSet<String> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn is_known(&self, choice: &str) {
        let body = json!({ "limit": 5 });
        let asked = self.send((FICKLE, "eu"), Method::POST, "/v1/recommendations", &body).await;
        if let Some(slate) = asked.and_then(|answer| answer.read::<v1::RecommendResponse>()) {
            let mut entries = self.ledger.entries();
            entries.answers += 1;
            let stale = consent_is_fresh::check(choice, &slate);
            entries.unlawful.extend(stale.map(|found| format!("consent is fresh: {found}")));
        }
    }

    /// Sets and reads a person's interests, beside others who do the same.
    async fn declare(&self, person: &str, hand: u64) {
        let mut dice = self.dice(&format!("{person}{hand}"));
        while self.goes_on() && !self.histories.full(person) {
            sleep(Duration::from_millis(dice.random_range(THINKS_MS))).await;
            match dice.random_range(0..2) {
                0 => self.write_interest(person).await,
                _ => drop(self.read_interest(person).await),
            }
        }
    }

    async fn write_interest(&self, person: &str) {
        let (value, began) = (self.number(), self.trace.now_us());
        let body = json!({ "categories": [format!("{MARK}{value}")] });
        let answer = self.send((person, "eu"), Method::PUT, "/v1/me/interests", &body).await;
        self.wrote(person, value, began, answer.as_ref());
    }

    fn wrote(&self, register: &str, value: u64, began_us: u64, answer: Option<&Answer>) {
        let Some(answer) = answer.filter(|answer| !answer.did_nothing()) else { return };
        let ended_us = answer.status.is_success().then(|| self.trace.now_us());
        self.histories.add(register, Operation { act: Act::Write(value), began_us, ended_us });
    }

    /// Reads a person's interests; whether there was an answer.
    pub async fn read_interest(&self, person: &str) -> bool {
        let began = self.trace.now_us();
        let answer = self.send((person, "eu"), Method::GET, "/v1/me/interests", &Value::Null).await;
        let Some(found) = answer.and_then(|answer| answer.read::<Value>()) else { return false };
        let text = found.pointer("/categories/0").and_then(Value::as_str);
        let value = text.and_then(|text| text.strip_prefix(MARK)?.parse().ok());
        let stale = u64::try_from(STALE.as_micros()).unwrap_or(u64::MAX);
        self.histories.add(
            person,
            Operation {
                act: Act::Read(value),
                began_us: began.saturating_sub(stale),
                ended_us: Some(self.trace.now_us()),
            },
        );
        true
    }

    /// Writes items, each with a title of its own.
    async fn restock(&self, at: &str) {
        let mut dice = self.dice(at);
        while self.goes_on() {
            sleep(Duration::from_millis(dice.random_range(THINKS_MS))).await;
            let Some(item) = ITEMS.get(dice.random_range(0..ITEMS.len())) else { continue };
            if self.histories.full(item) {
                continue;
            }
            let (value, began) = (self.number(), self.trace.now_us());
            let put = json!({ "item": item, "title": value.to_string() });
            let answer = self.stock(at, &put).await;
            self.wrote(item, value, began, answer.as_ref());
        }
    }

    /// Reads an item, at a time when every replica must have it; whether there was an answer.
    pub async fn read_item(&self, item: &str, at: &str) -> bool {
        let began_us = self.trace.now_us();
        let path = format!("/v1/items/{item}");
        let answer = self.send(("operator", at), Method::GET, &path, &Value::Null).await;
        let Some(answer) = answer else { return false };
        let found = answer.read::<v1::Item>();
        if found.is_none() && answer.kind() != "not_found" {
            return false;
        }
        let value = found.and_then(|item| item.title.parse().ok());
        let ended_us = Some(self.trace.now_us());
        self.histories.add(item, Operation { act: Act::Read(value), began_us, ended_us });
        true
    }

    /// All that is kept of a person, asked for until there is an answer or `until`.
    pub async fn export(&self, person: &str, until: Instant) -> Option<v1::ExportResponse> {
        while Instant::now() < until {
            let answer =
                self.send((person, "eu"), Method::GET, "/v1/me/export", &Value::Null).await;
            if let Some(export) = answer.and_then(|answer| answer.read()) {
                return Some(export);
            }
            sleep(Duration::from_millis(100)).await;
        }
        None
    }
}
