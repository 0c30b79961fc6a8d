//! Loading a data set through the public interface, as an app would.

use std::collections::BTreeMap;
use std::fs;

use bailiwick_core::ids::{Jurisdiction, Subject, UnixMillis};
use bailiwick_core::learning;
use bailiwick_core::policy::{
    Asking, Candidate, Consent, EventStore, Gpc, HomeReach, PackFile, PackSet, SensitiveConsent,
    Service, Toggle, decide_under,
};
use bailiwick_node::start::system_clock;
use bailiwick_proto::v1;
use futures::stream::{self, TryStreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::args::RunArgs;
use super::error::DevError;
use super::layout::Layout;
use super::plan::Plan;
use super::tokens::Tokens;
use crate::client::Client;
use crate::data::{self, Dataset, DemoPerson};

/// Items of one upload.
const ITEMS_AT_ONCE: usize = 1000;
/// Events of one request.
const EVENTS_AT_ONCE: usize = 500;
/// People loaded at one time.
const PEOPLE_AT_ONCE: usize = 4;
/// Of a request while the machine is busy with loading.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

/// Reads the data set that is asked for, before anything is started.
pub(super) fn read(args: &RunArgs) -> Result<Option<Dataset>, DevError> {
    if args.data == "none" {
        return Ok(None);
    }
    Ok(Some(data::load(&args.data.parse()?, args.path.as_deref())?))
}

/// Loads items, people and events, unless an earlier run did.
pub(super) async fn load(
    layout: &Layout,
    plan: &Plan,
    tokens: &Tokens,
    mut data: Dataset,
    progress: &ProgressBar,
    people_max: usize,
) -> Result<(), DevError> {
    if Loaded::read(layout).is_some_and(|loaded| loaded.data == data.name) {
        return Ok(());
    }
    progress.set_message("learning item vectors from the events that may be learned from");
    let packs = packs(layout)?;
    let domains: Vec<String> = plan.routers().map(|router| router.domain.clone()).collect();
    let homes: Vec<Option<usize>> =
        data.people.iter().map(|person| learned_in(&packs, &domains, person)).collect();
    learn(&mut data, &homes, domains.len())?;
    progress.finish_and_clear();
    put_items(plan, tokens, &data).await?;
    put_people(plan, tokens, &packs, &data, people_max).await?;
    Loaded::of(&data).write(layout)
}

/// Which data a cluster holds, and whom to show of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Loaded {
    pub(super) data: String,
    pub(super) credit: String,
    pub(super) made_up: Vec<String>,
    pub(super) examples: Vec<Example>,
}

/// Two Germans and the Californian first: the three for whom a whole command is shown.
fn shown_first(mut examples: Vec<Example>) -> Vec<Example> {
    let place = |example: &Example| match example.home.as_str() {
        "EU-DE" => 0,
        "US-CA" => 1,
        _ => 2,
    };
    examples.sort_by_key(place);
    examples
}

/// A person who is worth showing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Example {
    pub(super) who: String,
    pub(super) subject: Subject,
    pub(super) home: Jurisdiction,
    pub(super) age_band: String,
}

impl Loaded {
    pub(super) fn read(layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&fs::read(layout.loaded()).ok()?).ok()
    }

    fn of(data: &Dataset) -> Self {
        let example = |person: &DemoPerson| {
            Some(Example {
                who: person.example.clone()?,
                subject: person.subject.clone(),
                home: person.home.clone(),
                age_band: person.age_band.to_string(),
            })
        };
        Self {
            data: data.name.into(),
            credit: data.credit.into(),
            made_up: data.made_up.iter().map(|text| (*text).to_owned()).collect(),
            examples: shown_first(data.people.iter().filter_map(example).collect()),
        }
    }

    fn write(&self, layout: &Layout) -> Result<(), DevError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        Ok(bailiwick_net::secret::replace_public(&layout.loaded(), &text)?)
    }
}

fn packs(layout: &Layout) -> Result<PackSet, DevError> {
    let dir = layout.policies();
    let mut read = Vec::new();
    for entry in fs::read_dir(&dir).map_err(DevError::io("list", &dir))? {
        let path = entry.map_err(DevError::io("list", &dir))?.path();
        let text = fs::read_to_string(&path).map_err(DevError::io("read", &path))?;
        let pack = PackFile::parse(&text).map_err(|errors| DevError::Config(errors.to_string()))?;
        read.push(Candidate::Read(std::sync::Arc::new(pack)));
    }
    Ok(PackSet::lenient(read).0)
}

fn asking(person: &DemoPerson) -> Asking {
    Asking {
        service: Service::General,
        age_band: person.age_band,
        consent: person.consent,
        toggle: person.toggle,
        gpc: Gpc::Absent,
        sensitive: SensitiveConsent::Na,
        reach: HomeReach::Reachable,
    }
}

/// The domain in which a person's events are linked to them; only those may be learned from.
fn learned_in(packs: &PackSet, domains: &[String], person: &DemoPerson) -> Option<usize> {
    let now: UnixMillis = system_clock();
    let law = packs.applicable(&person.home, &person.home, now.day()?);
    match decide_under(&law, &asking(person)).event_store {
        EventStore::Linked(domain) => domains.iter().position(|name| name == domain.as_str()),
        _ => None,
    }
}

fn learn(data: &mut Dataset, homes: &[Option<usize>], domains: usize) -> Result<(), DevError> {
    let options = learning::Options::default();
    let by_subject: BTreeMap<String, Option<usize>> = data
        .people
        .iter()
        .zip(homes)
        .map(|(person, home)| (person.subject.as_str().to_owned(), *home))
        .collect();
    let home = |person: &DemoPerson| by_subject.get(person.subject.as_str()).copied().flatten();
    let shares = data.interactions(domains, options.person_items_max, home);
    let vectors = learning::learn(&shares, options, |_, _| ())
        .map_err(|error| DevError::Config(error.to_string()))?;
    data.set_vectors(&vectors);
    Ok(())
}

fn bar(length: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or(u64::MAX)).with_message(what);
    match ProgressStyle::with_template("{msg:>18} {wide_bar} {pos}/{len} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn client(url: &str, token: &str) -> Result<Client, DevError> {
    Ok(Client::new(url)?.with_token(token)?.with_deadline(DEADLINE))
}

async fn put_items(plan: &Plan, tokens: &Tokens, data: &Dataset) -> Result<(), DevError> {
    let Some(router) = plan.routers().next() else { return Ok(()) };
    let home = router.location.parse().map_err(|_| DevError::Config("a bad location".into()))?;
    let client = client(&router.url(), &tokens.operator(&home)?)?;
    let bar = bar(data.items.len(), "items");
    for items in data.items.chunks(ITEMS_AT_ONCE) {
        let answer = client.put_items(items).await?;
        if let Some(refused) = answer.errors.into_iter().next() {
            return Err(DevError::Item { line: refused.line, error: refused.error });
        }
        bar.inc(u64::try_from(items.len()).unwrap_or_default());
    }
    bar.finish_and_clear();
    Ok(())
}

async fn put_people(
    plan: &Plan,
    tokens: &Tokens,
    packs: &PackSet,
    data: &Dataset,
    people_max: usize,
) -> Result<(), DevError> {
    let mut events: Vec<Vec<v1::Event>> = vec![Vec::new(); data.people.len()];
    for (person, event) in &data.events {
        if let Some(list) = events.get_mut(*person) {
            list.push(event.clone());
        }
    }
    let mut jobs: Vec<_> = data.people.iter().zip(events).collect();
    jobs.sort_by_key(|(person, _)| person.example.is_none());
    jobs.truncate(people_max);
    let bar = bar(jobs.len(), "people");
    stream::iter(jobs.into_iter().map(Ok::<_, DevError>))
        .try_for_each_concurrent(PEOPLE_AT_ONCE, |(person, events)| {
            let bar = bar.clone();
            async move {
                put_person(plan, tokens, packs, person, events).await?;
                bar.inc(1);
                Ok(())
            }
        })
        .await?;
    bar.finish_and_clear();
    Ok(())
}

/// The home edge of a person, if this cluster has their domain.
fn edge<'a>(plan: &'a Plan, packs: &PackSet, person: &DemoPerson) -> Option<&'a str> {
    let now: UnixMillis = system_clock();
    let law = packs.applicable(&person.home, &person.home, now.day()?);
    let domain = law.home.domain?;
    plan.router(domain.as_str()).map(|router| router.domain.as_str())
}

async fn put_person(
    plan: &Plan,
    tokens: &Tokens,
    packs: &PackSet,
    person: &DemoPerson,
    events: Vec<v1::Event>,
) -> Result<(), DevError> {
    // People of domains that have no nodes here are stored nowhere.
    let Some(router) = edge(plan, packs, person).and_then(|domain| plan.router(domain)) else {
        return Ok(());
    };
    let token = tokens.person(&person.subject, &person.home, person.age_band)?;
    // With the receipt whichever replica takes the events knows of the consent.
    let receipt = put_consent(&router.url(), tokens, &token, person).await?;
    let client = client(&router.url(), &token)?;
    for events in events.chunks(EVENTS_AT_ONCE) {
        let request = v1::RecordEventsRequest { events: events.to_vec(), receipt: receipt.clone() };
        let _: v1::RecordEventsResponse = client.post("/v1/events", &request).await?;
    }
    Ok(())
}

/// Says what the person chose; the receipt of it, if there was anything to say.
async fn put_consent(
    url: &str,
    tokens: &Tokens,
    token: &str,
    person: &DemoPerson,
) -> Result<Option<String>, DevError> {
    let mut receipt = None;
    let own = v1::PutConsentRequest {
        consent: Some(person.consent)
            .filter(|c| !matches!(c, Consent::None | Consent::Parental))
            .map(|consent| consent.to_string()),
        toggle: Some(person.toggle)
            .filter(|t| *t != Toggle::Unset)
            .map(|toggle| toggle.to_string()),
        ..v1::PutConsentRequest::default()
    };
    if own.consent.is_some() || own.toggle.is_some() {
        let said: v1::Consent = client(url, token)?.put("/v1/me/consent", &own).await?;
        receipt = said.receipt;
    }
    if person.consent == Consent::Parental {
        let parental = v1::PutConsentRequest {
            consent: Some(Consent::Parental.to_string()),
            ..v1::PutConsentRequest::default()
        };
        let guardian = tokens.guardian(&person.subject, &person.home)?;
        let said: v1::Consent = client(url, &guardian)?.put("/v1/me/consent", &parental).await?;
        receipt = said.receipt;
    }
    Ok(receipt)
}
