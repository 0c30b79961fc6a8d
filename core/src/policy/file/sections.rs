//! The sections of a pack file that hold single values.

use toml::de::DeValue;

use super::read::signals;
use super::reader::{Reader, Section, expected};
use super::value;
use crate::ids::Jurisdiction;
use crate::policy::cells::PerService;
use crate::policy::effective::Fields;
use crate::policy::order::{AtLeast, AtMost, Copies, Duties, LogDays, Order, Removes, Shares};
use crate::policy::vocabulary::{Service, UnknownAge};
use crate::policy::word::Word;

const DAYS_MAX: u32 = 36_500;

/// Every field but the age rules; what the file leaves out is the laxest.
pub(super) fn fields(reader: &mut Reader<'_>, root: &Section<'_, '_>) -> Fields {
    let mut fields = Fields::top();
    if let Some(unknown) = unknown_age(reader, root) {
        fields.unknown_age = unknown;
    }
    if let Some(duties) = reader.list(root, "transparency", value::word) {
        fields.transparency = Duties(duties.into_iter().collect());
    }
    if let Some(duties) = reader.list(root, "oversight", value::word) {
        fields.oversight = Duties(duties.into_iter().collect());
    }
    conduct(reader, root, &mut fields);
    keeping(reader, root, &mut fields);
    ranking(reader, root, &mut fields);
    fields
}

fn unknown_age(reader: &mut Reader<'_>, root: &Section<'_, '_>) -> Option<PerService<UnknownAge>> {
    if root.entries().any(|(key, v)| key == "unknown_age" && v.get_ref().as_table().is_none()) {
        return reader.optional(root, "unknown_age", value::word).map(PerService::same);
    }
    let section = reader.table(root, "unknown_age")?;
    let default = reader.optional(&section, "default", value::word).unwrap_or(UnknownAge::Adult);
    let mut named = |service: Service| {
        reader.optional(&section, service.as_str(), value::word).unwrap_or(default)
    };
    Some(PerService([named(Service::General), named(Service::Social), named(Service::Vlop)]))
}

/// Sensitive attributes, signals and residency.
fn conduct(reader: &mut Reader<'_>, root: &Section<'_, '_>, fields: &mut Fields) {
    if let Some(section) = reader.table(root, "sensitive") {
        put(&mut fields.sensitive_basis, reader.optional(&section, "basis", value::word));
        put(&mut fields.sensitive_exclude, reader.optional(&section, "exclude", value::attributes));
    }
    if let Some(section) = reader.table(root, "signals") {
        put(&mut fields.gpc, signals(reader, &section, "gpc").map(Removes));
        // What the switch always removes stays: a pack can only add.
        if let Some(more) = signals(reader, &section, "toggle_off") {
            fields.toggle_off = fields.toggle_off.meet(&Removes(more));
        }
    }
    if let Some(section) = reader.table(root, "residency") {
        put(&mut fields.store_in, reader.optional(&section, "store_in", value::domains));
        put(&mut fields.process_in, reader.optional(&section, "process_in", value::domains));
        let copies = reader.optional(&section, "primary_copy", value::domains);
        put(&mut fields.primary_copy, copies.map(Copies));
    }
}

/// Rights and retention.
fn keeping(reader: &mut Reader<'_>, root: &Section<'_, '_>, fields: &mut Fields) {
    let days = |reader: &mut Reader<'_>, section: &Section<'_, '_>, key: &str, min: u32| {
        reader.optional(section, key, value::integer(min, DAYS_MAX)).map(|days| AtMost(Some(days)))
    };
    if let Some(section) = reader.table(root, "rights") {
        put(&mut fields.access_days, days(reader, &section, "access_days", 1));
        put(&mut fields.erasure_days, days(reader, &section, "erasure_days", 1));
    }
    if let Some(section) = reader.table(root, "retention") {
        put(&mut fields.profile_days, days(reader, &section, "profile_days", 0));
        put(&mut fields.events_days, days(reader, &section, "events_days", 0));
        put(
            &mut fields.decision_log_days,
            reader.optional(&section, "decision_log_days", log_days),
        );
    }
}

fn log_days(value: &DeValue<'_>) -> Result<LogDays, String> {
    let list = value.as_array().ok_or_else(|| expected("[min, max] in days", value))?;
    let day = |element: &toml::Spanned<DeValue<'_>>| value::integer(0, DAYS_MAX)(element.get_ref());
    let (min, max) = match list.iter().as_slice() {
        [min, max] => (day(min)?, day(max)?),
        _ => return Err("expected two numbers, [min, max] in days".to_owned()),
    };
    match max < min {
        true => Err(format!("[{min}, {max}] is empty")),
        false => Ok(LogDays { min, max: AtMost(Some(max)) }),
    }
}

fn ranking(reader: &mut Reader<'_>, root: &Section<'_, '_>, fields: &mut Fields) {
    let Some(section) = reader.table(root, "ranking") else { return };
    let k_min = reader.optional(&section, "k_min", value::integer(1, 1_000_000));
    put(&mut fields.k_min, k_min.map(AtLeast));
    let floor = reader.optional(&section, "diversity_floor", value::ratio);
    put(&mut fields.diversity_floor, floor.map(AtLeast));
    let epsilon = reader.optional(&section, "dp_epsilon_max", value::epsilon);
    put(&mut fields.dp_epsilon_max, epsilon.map(|most| AtMost(Some(most))));
    if let Some(inner) = reader.table(&section, "local_share") {
        fields.local_share = local_share(reader, &inner);
        if fields.local_share.infeasible() {
            let message =
                format!("shares that exclude each other sum to {}", fields.local_share.needed());
            reader.fault_in(&section, "local_share", message);
        }
    }
}

fn local_share(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Shares {
    let names: Vec<&str> = section.entries().map(|(name, _)| name).collect();
    let mut shares = Shares::default();
    for name in names {
        if let Err(error) = name.parse::<Jurisdiction>() {
            reader.fault_in(section, name, error.to_string());
        }
        if let Some(share) = reader.optional(section, name, value::share) {
            shares.0.insert(name.into(), share);
        }
    }
    shares
}

fn put<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
