//! Before the load: tokens, people who consent, items, and how large the echoes must be.

use std::collections::BTreeSet;
use std::path::Path;

use bailiwick_core::ids::{Issuer, Subject, UnixMillis};
use bailiwick_core::learning::Block;
use bailiwick_core::limits;
use bailiwick_core::policy::AgeBand;
use bailiwick_net::token::{NewToken, Scope, TokenMinter};
use bailiwick_proto::v1;

use super::wire::Wire;
use super::{BenchArgs, BenchError};
use crate::client::{Client, ClientError};

/// Items of one upload.
const UPLOAD_ITEMS: usize = 2000;
/// Seed of the made-up vectors.
const SEED: u64 = 7;
/// Length of a slate under load.
pub(super) const SLATE: u32 = limits::SLATE_ITEMS_DEFAULT;

/// Everything that the load needs.
pub(super) struct Cast {
    pub(super) wire: Wire,
    pub(super) people: Vec<String>,
    pub(super) admin: String,
    /// Items to report events on.
    pub(super) items: Vec<String>,
    /// Part of event ids, so that a second run on the same people counts no duplicates.
    pub(super) run: String,
    pub(super) echo_recommend: v1::EchoRequest,
    pub(super) echo_event: v1::EchoRequest,
}

impl Cast {
    pub(super) async fn assemble(
        args: &BenchArgs,
        say: &mut impl FnMut(&str),
    ) -> Result<Self, BenchError> {
        let client = Client::new(&args.target).map_err(at("the target"))?;
        let (people, admin) = tokens(args)?;
        if args.items > 0 {
            put_items(&client, &admin, args, say).await?;
        }
        let items = greet(&client, &people, say).await?;
        let wire = Wire::open(args.over, &client.with_deadline(super::drive::DEADLINE)).await?;
        let run = format!("{:x}", jiff::Timestamp::now().as_millisecond());
        let echo = v1::EchoRequest::default();
        let (echo_recommend, echo_event) = (echo.clone(), echo);
        let cast = Self { wire, people, admin, items, run, echo_recommend, echo_event };
        cast.with_echoes().await
    }

    /// Sizes the echoes by one real request of each sort.
    async fn with_echoes(mut self) -> Result<Self, BenchError> {
        let token = self.people.first().cloned().unwrap_or_default();
        let (slate, event) = (recommend(), self.event(0));
        let answer = self.wire.recommend(&token, &slate).await.map_err(failed("a slate"))?;
        self.echo_recommend = self.wire.echo_of(self.wire.size(&slate), answer);
        let answer = self.wire.record(&token, &event).await.map_err(failed("an event"))?;
        self.echo_event = self.wire.echo_of(self.wire.size(&event), answer);
        self.wire.echo(&self.admin, &self.echo_event).await.map_err(failed("an echo"))?;
        Ok(self)
    }

    /// The event of a request: each its own id.
    pub(super) fn event(&self, number: u64) -> v1::RecordEventsRequest {
        let item = pick(&self.items, number).cloned().unwrap_or_default();
        let id = format!("bench-{}-{number}", self.run);
        let event = v1::Event { id, item, kind: "view".to_owned(), ..v1::Event::default() };
        v1::RecordEventsRequest { events: vec![event], receipt: None }
    }

    /// The token of whoever asks.
    pub(super) fn token(&self, number: u64) -> &str {
        pick(&self.people, number).map_or("", String::as_str)
    }
}

/// A slate's request.
pub(super) fn recommend() -> v1::RecommendRequest {
    v1::RecommendRequest { limit: Some(SLATE), ..v1::RecommendRequest::default() }
}

fn pick<T>(list: &[T], number: u64) -> Option<&T> {
    let at = number.checked_rem(list.len() as u64)?;
    list.get(usize::try_from(at).ok()?)
}

fn at(step: &'static str) -> impl Fn(ClientError) -> BenchError {
    move |source| BenchError::Prepare { step, source }
}

fn failed(step: &'static str) -> impl Fn(&'static str) -> BenchError {
    move |kind| BenchError::Rehearsal { step, kind }
}

fn tokens(args: &BenchArgs) -> Result<(Vec<String>, String), BenchError> {
    match (&args.key, &args.tokens) {
        (Some(key), _) => minted(args, key),
        (None, Some(file)) => {
            let admin = args.admin_token.as_deref().ok_or(BenchError::NoAdmin)?;
            let mut people = lines(file)?;
            people.truncate(usize::try_from(args.people).unwrap_or(usize::MAX));
            Ok((people, lines(admin)?.swap_remove(0)))
        }
        (None, None) => Err(BenchError::NoTokens { file: "--tokens".into() }),
    }
}

fn lines(file: &Path) -> Result<Vec<String>, BenchError> {
    let file = file.to_owned();
    match std::fs::read_to_string(&file) {
        Err(source) => Err(BenchError::File { file, source }),
        Ok(text) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let lines: Vec<String> = lines.map(str::to_owned).collect();
            if lines.is_empty() { Err(BenchError::NoTokens { file }) } else { Ok(lines) }
        }
    }
}

fn minted(args: &BenchArgs, key: &Path) -> Result<(Vec<String>, String), BenchError> {
    if !key.is_file() {
        return Err(BenchError::NoKey { file: key.to_owned() });
    }
    let minter = TokenMinter::open(key, Issuer::new(&*args.issuer)?, &args.audience)?;
    let now = UnixMillis(jiff::Timestamp::now().as_millisecond());
    let mint = |subject: String, scopes: &[Scope]| {
        let token = NewToken {
            subject: Subject::new(subject)?,
            home: args.home.clone(),
            azp: args.client.clone(),
            age_band: AgeBand::Adult,
            scopes: scopes.iter().copied().collect::<BTreeSet<_>>(),
            child: None,
            life_s: limits::TOKEN_LIFE_S_MAX,
        };
        minter.mint(&token, now).map_err(|e| BenchError::Signing { problem: e.to_string() })
    };
    let person = [Scope::Recommend, Scope::Events, Scope::Person];
    let people = (0..args.people).map(|number| mint(format!("bench-{number}"), &person));
    let admin = mint("bench-admin".to_owned(), &[Scope::ClusterAdmin, Scope::ItemsWrite])?;
    Ok((people.collect::<Result<_, _>>()?, admin))
}

/// Every person consents and is given a slate; the items of the slates are what events are about.
async fn greet(
    client: &Client,
    people: &[String],
    say: &mut impl FnMut(&str),
) -> Result<Vec<String>, BenchError> {
    say(&format!("{} people consent and ask for a first slate", people.len()));
    let consent = v1::PutConsentRequest {
        consent: Some("granted".to_owned()),
        ..v1::PutConsentRequest::default()
    };
    let mut items = BTreeSet::new();
    for token in people {
        let client = client.with_token(token).map_err(at("a token"))?;
        let _: v1::Consent =
            client.put("/v1/me/consent", &consent).await.map_err(at("a person's consent"))?;
        let slate: v1::RecommendResponse =
            client.post("/v1/recommendations", &recommend()).await.map_err(at("a first slate"))?;
        items.extend(slate.items.into_iter().map(|item| item.item));
    }
    if items.is_empty() {
        return Err(BenchError::NoItems);
    }
    Ok(items.into_iter().collect())
}

async fn put_items(
    client: &Client,
    admin: &str,
    args: &BenchArgs,
    say: &mut impl FnMut(&str),
) -> Result<(), BenchError> {
    let (count, dimensions) = (args.items, args.dimensions);
    say(&format!("{count} made-up items with vectors of {dimensions} values are put first"));
    let client = client.with_token(admin).map_err(at("the admin token"))?;
    let columns = usize::try_from(dimensions).unwrap_or(1);
    for start in (0..count).step_by(UPLOAD_ITEMS) {
        let numbers: Vec<u32> = (start..count).take(UPLOAD_ITEMS).collect();
        let vectors = Block::seeded(numbers.len(), columns, SEED ^ u64::from(start) << 20);
        let items: Vec<v1::Item> = numbers.iter().zip(vectors.rows()).map(made_up).collect();
        let answer = client.put_items(&items).await.map_err(at("an upload of items"))?;
        if let Some(first) = answer.errors.first() {
            let (count, line, error) = (answer.errors.len(), first.line, first.error.clone());
            return Err(BenchError::Items { count, line, error });
        }
    }
    Ok(())
}

fn made_up((number, vector): (&u32, &[f32])) -> v1::Item {
    v1::Item {
        item: format!("bench-{number}"),
        title: format!("Made-up item {number}"),
        category: vec![format!("made-up {}", number % 20)],
        vector: vector.to_vec(),
        ..v1::Item::default()
    }
}
