//! What a message of `bailiwick.v1` must satisfy before anyone acts on it: checked once, in router and
//! node alike, into typed values. Every refusal names the field's exact path: `events[3].item`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use bailiwick_core::ids::{EventId, IdError, ItemId, Jurisdiction, UnixMillis};
use bailiwick_core::limits;
use bailiwick_core::policy::{Consent, SensitiveConsent, Toggle, WordError};

use crate::failure::Failure;
use crate::v1;

mod item;
mod json;
mod text;
mod words;

pub use item::{ItemRecord, item, item_line};
pub use json::read_json;
pub use words::EventKind;

use text::{label, opaque, timestamp};

type Checked<T> = Result<T, Failure>;

/// A checked request for a ranked list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecommendQuery {
    /// 1 to [`limits::SLATE_ITEMS_MAX`].
    pub limit: u32,
    /// Items of this session, oldest first.
    pub session: Vec<ItemId>,
    /// The item in view.
    pub item: Option<ItemId>,
    /// The category in view.
    pub category: Option<String>,
    /// The language in use.
    pub language: Option<String>,
    /// Items not to show.
    pub exclude: BTreeSet<ItemId>,
    /// What an item must have.
    pub filter: ItemFilter,
    /// The state to be seen at least.
    pub revision: Option<String>,
    /// The person's last receipt.
    pub receipt: Option<String>,
}

/// An item passes when it has one of the values of each set that is not empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemFilter {
    /// Categories.
    pub category: BTreeSet<String>,
    /// Languages.
    pub language: BTreeSet<String>,
    /// Creators.
    pub creator: BTreeSet<String>,
}

/// Checked events of one person. No id stands in it twice.
#[derive(Debug, Clone, PartialEq)]
pub struct EventBatch {
    /// At least one, at most [`limits::EVENTS_MAX`].
    pub events: Vec<CheckedEvent>,
    /// The person's last receipt.
    pub receipt: Option<String>,
}

/// One checked event.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedEvent {
    /// Unique for the person.
    pub id: EventId,
    /// The item.
    pub item: ItemId,
    /// What was done.
    pub kind: EventKind,
    /// A finite number: the stars of a rating, the seconds of a play.
    pub value: Option<f64>,
    /// When; the time of receipt where absent.
    pub at: Option<UnixMillis>,
    /// The answer that showed the item.
    pub log_id: Option<String>,
    /// The item's place in it.
    pub position: Option<u32>,
}

/// A checked change of consent: absent fields stay as they are, and one at least is present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsentChange {
    /// Consent to the use of stored data.
    pub consent: Option<Consent>,
    /// Consent to the use of sensitive attributes: unset, yes or no.
    pub sensitive: Option<SensitiveConsent>,
    /// The switch.
    pub toggle: Option<Toggle>,
}

/// Checked explicit choices of a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InterestSet {
    /// Categories.
    pub categories: BTreeSet<String>,
    /// Creators.
    pub creators: BTreeSet<String>,
    /// Languages.
    pub languages: BTreeSet<String>,
}

/// Checks a request for a ranked list.
///
/// # Errors
/// An invalid [`Failure`] that names the field.
pub fn recommend(request: v1::RecommendRequest) -> Checked<RecommendQuery> {
    let context = request.context.unwrap_or_default();
    let exclude = ids("exclude", &request.exclude, limits::EXCLUDE_ITEMS_MAX)?;
    Ok(RecommendQuery {
        limit: limit(request.limit)?,
        session: ids("session", &request.session, limits::SESSION_ITEMS_MAX)?,
        item: context.item.map(|text| id("context.item", &text)).transpose()?,
        category: optional(context.category, |text| label("context.category", text))?,
        language: optional(context.language, |text| label("context.language", text))?,
        exclude: exclude.into_iter().collect(),
        filter: filter(&request.filter.unwrap_or_default())?,
        revision: optional(request.revision, |text| opaque("revision", text))?,
        receipt: optional(request.receipt, receipt)?,
    })
}

fn limit(found: Option<u32>) -> Checked<u32> {
    match found.unwrap_or(limits::SLATE_ITEMS_DEFAULT) {
        n @ 1..=limits::SLATE_ITEMS_MAX => Ok(n),
        n => {
            let words = format!("limit is {n}, it must be 1 to {}", limits::SLATE_ITEMS_MAX);
            Err(Failure::invalid("limit", words))
        }
    }
}

fn filter(found: &v1::Filter) -> Checked<ItemFilter> {
    let values = |field: &str, list: &[String]| {
        labels(&format!("filter.{field}"), list, limits::FILTER_VALUES_MAX)
    };
    Ok(ItemFilter {
        category: values("category", &found.category)?,
        language: values("language", &found.language)?,
        creator: values("creator", &found.creator)?,
    })
}

/// Checks events.
///
/// # Errors
/// An invalid [`Failure`] that names the field; one bad event refuses the whole batch, so that nothing of
/// it is stored.
pub fn events(request: v1::RecordEventsRequest) -> Checked<EventBatch> {
    if request.events.is_empty() {
        return Err(Failure::invalid("events", "events is empty, it needs at least one"));
    }
    at_most("events", request.events.len(), limits::EVENTS_MAX)?;
    let mut seen = BTreeMap::new();
    let mut events = Vec::with_capacity(request.events.len());
    for (at, found) in request.events.into_iter().enumerate() {
        let event = event(&format!("events[{at}]"), found)?;
        if let Some(first) = seen.insert(event.id.clone(), at) {
            let words = format!("events[{at}].id is the same as events[{first}].id");
            return Err(Failure::invalid(format!("events[{at}].id"), words));
        }
        events.push(event);
    }
    Ok(EventBatch { events, receipt: optional(request.receipt, receipt)? })
}

fn event(path: &str, found: v1::Event) -> Checked<CheckedEvent> {
    let field = |name: &str| format!("{path}.{name}");
    Ok(CheckedEvent {
        id: id(&field("id"), &found.id)?,
        item: id(&field("item"), &found.item)?,
        kind: word(&field("kind"), &found.kind)?,
        value: found.value.map(|value| finite(&field("value"), value)).transpose()?,
        at: found.at.map(|text| timestamp(&field("at"), &text)).transpose()?,
        log_id: optional(found.log_id, |text| opaque(&field("log_id"), text))?,
        position: found.position,
    })
}

fn finite(path: &str, value: f64) -> Checked<f64> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Failure::invalid(path, format!("{path} is {value}, it must be a finite number")))
    }
}

/// Checks a change of consent.
///
/// # Errors
/// An invalid [`Failure`] that names the field, or says that there is nothing to change.
pub fn consent(request: &v1::PutConsentRequest) -> Checked<ConsentChange> {
    let change = ConsentChange {
        consent: optional(request.consent.as_deref(), |text| word("consent", text))?,
        sensitive: optional(request.sensitive.as_deref(), sensitive)?,
        toggle: optional(request.toggle.as_deref(), |text| word("toggle", text))?,
    };
    match change {
        ConsentChange { consent: None, sensitive: None, toggle: None } => {
            let words = "one of consent, sensitive and toggle is needed";
            Err(Failure::invalid("consent", words))
        }
        change => Ok(change),
    }
}

/// `na` is the system's own word: nothing sensitive is known.
fn sensitive(text: &str) -> Checked<SensitiveConsent> {
    match text.parse() {
        Ok(word) if word != SensitiveConsent::Na => Ok(word),
        _ => Err(Failure::invalid(
            "sensitive",
            format!("sensitive is `{}`, allowed: unset, yes, no", text::short(text)),
        )),
    }
}

/// Checks explicit choices.
///
/// # Errors
/// An invalid [`Failure`] that names the field.
pub fn interests(request: &v1::PutInterestsRequest) -> Checked<InterestSet> {
    Ok(InterestSet {
        categories: labels("categories", &request.categories, limits::CATEGORIES_MAX)?,
        creators: labels("creators", &request.creators, limits::CATEGORIES_MAX)?,
        languages: labels("languages", &request.languages, limits::CATEGORIES_MAX)?,
    })
}

/// Checks the revision that a read carries.
///
/// # Errors
/// An invalid [`Failure`] that names `revision`.
pub fn revision(found: Option<String>) -> Checked<Option<String>> {
    optional(found, |text| opaque("revision", text))
}

/// Checks an item's id in a path or message.
///
/// # Errors
/// An invalid [`Failure`] that names `item`.
pub fn item_id(text: &str) -> Checked<ItemId> {
    id("item", text)
}

/// Checks the id of an erasure's receipt: 32 hexadecimal digits in lower case.
///
/// # Errors
/// An invalid [`Failure`] that names `id`.
pub fn erasure_id(text: &str) -> Checked<[u8; 16]> {
    let bad = || Failure::invalid("id", "id is not 32 hexadecimal digits in lower case");
    let digits: Vec<u8> = text.bytes().filter_map(hex_digit).collect();
    let digits: [u8; 32] = digits.try_into().map_err(|_| bad())?;
    if text.len() != digits.len() {
        return Err(bad());
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    }
    Ok(id)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Checks a pack's name.
///
/// # Errors
/// An invalid [`Failure`] that names `pack`.
pub fn pack(text: &str) -> Checked<Jurisdiction> {
    id("pack", text)
}

/// Checks a request for the probe.
///
/// # Errors
/// An invalid [`Failure`] that names `answer_bytes`.
pub fn echo(request: &v1::EchoRequest) -> Checked<()> {
    match usize::try_from(request.answer_bytes) {
        Ok(bytes) if bytes <= limits::BODY_BYTES_MAX => Ok(()),
        _ => {
            let (found, most) = (request.answer_bytes, limits::BODY_BYTES_MAX);
            let words = format!("answer_bytes is {found}, at most {most} are allowed");
            Err(Failure::invalid("answer_bytes", words))
        }
    }
}

fn receipt(text: String) -> Checked<String> {
    text::bounded("receipt", text, text::RECEIPT_BYTES_MAX)
}

fn optional<T, U>(found: Option<T>, check: impl FnOnce(T) -> Checked<U>) -> Checked<Option<U>> {
    found.map(check).transpose()
}

fn at_most(path: &str, len: usize, max: usize) -> Checked<()> {
    if len <= max {
        return Ok(());
    }
    Err(Failure::invalid(path, format!("{path} has {len} entries, at most {max} are allowed")))
}

fn id<T: FromStr<Err = IdError>>(path: &str, text: &str) -> Checked<T> {
    text.parse().map_err(|error: IdError| Failure::invalid(path, format!("{path}: {error}")))
}

fn ids(path: &str, list: &[String], max: usize) -> Checked<Vec<ItemId>> {
    at_most(path, list.len(), max)?;
    list.iter().enumerate().map(|(at, text)| id(&format!("{path}[{at}]"), text)).collect()
}

fn labels(path: &str, list: &[String], max: usize) -> Checked<BTreeSet<String>> {
    at_most(path, list.len(), max)?;
    let one = |(at, text): (usize, &String)| label(&format!("{path}[{at}]"), text.clone());
    list.iter().enumerate().map(one).collect()
}

fn word<T: FromStr<Err = WordError>>(path: &str, text: &str) -> Checked<T> {
    text.parse().map_err(|error: WordError| {
        let words = format!("{path} is `{}`, allowed: {}", error.value, error.allowed);
        Failure::invalid(path, words)
    })
}

#[cfg(test)]
mod tests;
