//! `policy decide`: a table of cases in, a table of decisions out.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use bailiwick_core::ids::Jurisdiction;
use bailiwick_core::policy::{
    AgeBand, Asking, Consent, Decision, Gpc, HomeReach, Inputs, PackSet, SensitiveConsent, Service,
    Toggle, Word, decide as decide_one,
};
use csv::{ByteRecord, ReaderBuilder, Terminator, WriterBuilder};
use jiff::civil::Date;

use super::{Outcome, packs};

/// The columns that are read; others are ignored.
const COLUMNS: [&str; 11] = [
    "case_id",
    "as_of",
    "home",
    "location",
    "service",
    "age_band",
    "consent",
    "toggle",
    "gpc",
    "sensitive_consent",
    "home_reachable",
];
const HEADER: [&str; 6] =
    ["case_id", "variant", "profile_read", "event_store", "third_party_data", "reason_codes"];

pub(super) fn decide(
    dir: &Path,
    cases: &Path,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Outcome> {
    let Some(loaded) = packs::load(dir, err)? else { return Ok(Outcome::Faulty) };
    let table = match fs::read(cases) {
        Ok(table) => table,
        Err(error) => {
            writeln!(err, "error: {}: {error}", cases.display())?;
            return Ok(Outcome::Faulty);
        }
    };
    let refused = answer(&loaded.set, &table, out, err)?;
    Ok(Outcome::of(refused + loaded.faults))
}

/// Answers every row that can be read; returns how many were refused.
fn answer(
    packs: &PackSet,
    table: &[u8],
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<usize> {
    let table = table.strip_prefix(b"\xef\xbb\xbf").unwrap_or(table);
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(table);
    let columns = match reader.byte_headers().map(Columns::find) {
        Ok(Ok(columns)) => columns,
        Ok(Err(message)) => {
            writeln!(err, "error: {message}")?;
            return Ok(1);
        }
        Err(error) => {
            writeln!(err, "error: the header can't be read: {error}")?;
            return Ok(1);
        }
    };
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(out);
    writer.write_record(HEADER)?;
    let mut refused = 0;
    for (i, record) in reader.byte_records().enumerate() {
        let record = record?;
        match columns.case(&record) {
            Ok((id, inputs)) => writer.write_record(row(id, &decide_one(packs, &inputs)))?,
            Err(messages) => {
                refused += 1;
                let line = record.position().map_or(0, csv::Position::line);
                let row = i + 1;
                writeln!(err, "error: row {row} (line {line}): {}", messages.join("; "))?;
            }
        }
    }
    writer.flush()?;
    Ok(refused)
}

fn row(id: String, decision: &Decision) -> [String; 6] {
    [
        id,
        decision.variant.to_string(),
        decision.profile_read.to_string(),
        decision.event_store.to_string(),
        if decision.third_party_data() { "yes" } else { "no" }.to_owned(),
        decision.reasons.join(";"),
    ]
}

/// Where each column stands in a row.
struct Columns {
    places: [usize; 11],
    width: usize,
}

impl Columns {
    fn find(header: &ByteRecord) -> Result<Self, String> {
        let names: Vec<String> =
            header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let standing = |column: &&str| names.iter().filter(|name| name == column).count();
        let missing: Vec<&str> = COLUMNS.into_iter().filter(|c| standing(c) == 0).collect();
        if !missing.is_empty() {
            let (missing, all) = (missing.join(", "), COLUMNS.join(", "));
            return Err(format!("missing columns: {missing} (needed: {all})"));
        }
        let twice: Vec<&str> = COLUMNS.into_iter().filter(|c| standing(c) > 1).collect();
        if !twice.is_empty() {
            return Err(format!("columns named twice: {}", twice.join(", ")));
        }
        let place = |column| names.iter().position(|name| name == column).unwrap_or(usize::MAX);
        Ok(Self { places: COLUMNS.map(place), width: names.len() })
    }

    /// The case of a row, or everything that is wrong with it.
    fn case(&self, record: &ByteRecord) -> Result<(String, Inputs), Vec<String>> {
        if record.len() > self.width {
            let (found, width) = (record.len(), self.width);
            return Err(vec![format!("has {found} fields, the header has {width}")]);
        }
        let mut faults = Vec::new();
        let [id, as_of, home, location, service, age, consent, toggle, gpc, sensitive, reach] =
            self.places.map(|place| record.get(place));
        let id = keep(&mut faults, text("case_id", id));
        let on = keep(&mut faults, date("as_of", as_of));
        let home = keep(&mut faults, place("home", home));
        let location = keep(&mut faults, place("location", location));
        let service = keep(&mut faults, word::<Service>(service));
        let age_band = keep(&mut faults, word::<AgeBand>(age));
        let consent = keep(&mut faults, word::<Consent>(consent));
        let toggle = keep(&mut faults, word::<Toggle>(toggle));
        let gpc = keep(&mut faults, flag("gpc", gpc, Gpc::Absent, Gpc::Sent));
        let sensitive = keep(&mut faults, word::<SensitiveConsent>(sensitive));
        let (no, yes) = (HomeReach::Unreachable, HomeReach::Reachable);
        let reach = keep(&mut faults, flag("home_reachable", reach, no, yes));
        let inputs = || {
            let (service, age_band, consent, toggle) = (service?, age_band?, consent?, toggle?);
            let (gpc, sensitive, reach) = (gpc?, sensitive?, reach?);
            let asking = Asking { service, age_band, consent, toggle, gpc, sensitive, reach };
            Some((id?, Inputs { on: on?, home: home?, location: location?, asking }))
        };
        inputs().filter(|_| faults.is_empty()).ok_or(faults)
    }
}

fn keep<T>(faults: &mut Vec<String>, read: Result<T, String>) -> Option<T> {
    read.map_err(|fault| faults.push(fault)).ok()
}

fn text(field: &str, bytes: Option<&[u8]>) -> Result<String, String> {
    let bytes = bytes.ok_or_else(|| format!("{field} is missing"))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| format!("{field} is not UTF-8"))
}

fn word<T: Word>(bytes: Option<&[u8]>) -> Result<T, String> {
    T::parse(&text(T::FIELD, bytes)?).map_err(|error| error.to_string())
}

/// A well-formed id may be unknown, which counts as STRICT; an ill-formed one is refused.
fn place(field: &str, bytes: Option<&[u8]>) -> Result<Jurisdiction, String> {
    let text = text(field, bytes)?;
    text.parse().map_err(|error| {
        let shown: String = text.chars().take(40).collect();
        format!("{field} is `{shown}`, allowed: an id like EU-DE, or unknown ({error})")
    })
}

/// A date exactly as `2026-11-22`.
pub(super) fn date(field: &str, bytes: Option<&[u8]>) -> Result<Date, String> {
    let text = text(field, bytes)?;
    let digits = |c: &u8| c.is_ascii_digit() || *c == b'-';
    let plain = text.len() == 10 && text.as_bytes().iter().all(digits);
    text.parse().ok().filter(|_| plain).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        format!("{field} is `{shown}`, allowed: a date like 2026-11-22")
    })
}

fn flag<T>(field: &str, bytes: Option<&[u8]>, zero: T, one: T) -> Result<T, String> {
    match text(field, bytes)?.as_str() {
        "0" => Ok(zero),
        "1" => Ok(one),
        other => {
            let shown: String = other.chars().take(40).collect();
            Err(format!("{field} is `{shown}`, allowed: 0, 1"))
        }
    }
}
