//! `policy explain`: one decision, step by step.

use std::io::{self, Write};
use std::path::PathBuf;

use bailiwick_core::ids::Jurisdiction;
use bailiwick_core::policy::{
    AgeBand, Applicable, Asking, Consent, Decision, Flat, Gpc, HomeReach, PackFile, Resolved,
    SensitiveConsent, Service, Side, Toggle, decide_under,
};
use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Outcome, packs};

/// The request to explain.
#[derive(Debug, Args)]
pub struct Question {
    /// The directory of packs.
    #[arg(long, default_value = super::PACKS)]
    packs: PathBuf,
    /// The person's home jurisdiction.
    #[arg(long)]
    home: Jurisdiction,
    /// Where the request is made; by default at home.
    #[arg(long)]
    location: Option<Jurisdiction>,
    /// The kind of service: general, social, vlop.
    #[arg(long, default_value_t = Service::General)]
    service: Service,
    /// The age band: 0-11, 12, 13, 14, 15, 16-17, 18+, unknown.
    #[arg(long, visible_alias = "age-band", default_value_t = AgeBand::Unknown)]
    age: AgeBand,
    /// The consent: none, granted, refused, withdrawn, parental.
    #[arg(long, default_value_t = Consent::None)]
    consent: Consent,
    /// The person's switch: unset, on, off.
    #[arg(long, default_value_t = Toggle::Unset)]
    toggle: Toggle,
    /// Consent to sensitive attributes: na, unset, yes, no.
    #[arg(long, visible_alias = "sensitive-consent", default_value_t = SensitiveConsent::Na)]
    sensitive: SensitiveConsent,
    /// The global privacy control was sent.
    #[arg(long)]
    gpc: bool,
    /// The home domain can't be reached.
    #[arg(long)]
    home_unreachable: bool,
    /// The day; by default today, in UTC.
    #[arg(long)]
    as_of: Option<Date>,
}

impl Question {
    fn asking(&self) -> Asking {
        Asking {
            service: self.service,
            age_band: self.age,
            consent: self.consent,
            toggle: self.toggle,
            gpc: if self.gpc { Gpc::Sent } else { Gpc::Absent },
            sensitive: self.sensitive,
            reach: match self.home_unreachable {
                true => HomeReach::Unreachable,
                false => HomeReach::Reachable,
            },
        }
    }
}

/// Today, in UTC.
pub(super) fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

pub(super) fn explain(
    question: &Question,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Outcome> {
    let Some(loaded) = packs::load(&question.packs, err)? else { return Ok(Outcome::Faulty) };
    let on = question.as_of.unwrap_or_else(today);
    let location = question.location.as_ref().unwrap_or(&question.home);
    let law = loaded.set.applicable(&question.home, location, on);
    let asking = question.asking();
    let decision = decide_under(&law, &asking);
    writeln!(out, "On {on}, home {}, location {location}", question.home)?;
    write_side(out, "home", &law.home)?;
    write_side(out, "location", &law.location)?;
    write_decision(out, &decision)?;
    write_steps(out, &law, &asking, &decision)?;
    write_policy(out, &law)?;
    write_citations(out, &law, &asking, &decision)?;
    Ok(Outcome::of(loaded.faults))
}

fn write_side(out: &mut impl Write, what: &str, side: &Side) -> io::Result<()> {
    match &side.resolved {
        Resolved::Strict(why) => writeln!(out, "  {what}: STRICT ({why:?})"),
        Resolved::Pack(flat) => {
            let chain: Vec<String> = flat
                .chain()
                .iter()
                .map(|file| format!("{} version {}", file.pack(), file.version()))
                .collect();
            let domain = side.domain.as_ref().map_or("none", |domain| domain.as_str());
            writeln!(out, "  {what}: {}, domain {domain}", chain.join(" <- "))
        }
    }
}

fn write_decision(out: &mut impl Write, decision: &Decision) -> io::Result<()> {
    writeln!(out, "\nDecision")?;
    writeln!(out, "  variant           {}", decision.variant)?;
    writeln!(out, "  profile_read      {}", decision.profile_read)?;
    writeln!(out, "  event_store       {}", decision.event_store)?;
    let third_party = if decision.third_party_data() { "yes" } else { "no" };
    writeln!(out, "  third_party_data  {third_party}")?;
    writeln!(out, "  granted           {}", decision.granted)?;
    writeln!(out, "  reason_codes      {}", decision.reasons.join(";"))?;
    for pack in decision.packs.iter() {
        writeln!(out, "  pack              {pack}")?;
    }
    Ok(())
}

fn write_steps(
    out: &mut impl Write,
    law: &Applicable,
    asking: &Asking,
    decision: &Decision,
) -> io::Result<()> {
    let steps = &decision.steps;
    let cell = &steps.cell;
    writeln!(out, "\nSteps")?;
    writeln!(out, "  1 age band {} counts as {}; rule: {cell}", asking.age_band, steps.age)?;
    for (what, side) in [("home", &law.home), ("location", &law.location)] {
        for (file, id) in side_rules(side, asking.service, steps.age) {
            let line = file.age_rules().iter().find(|rule| *rule.id == *id).map_or(0, |r| r.line);
            writeln!(out, "      from {what}: {} rule `{id}`, line {line}", file.pack())?;
        }
    }
    let satisfied = if steps.satisfied { "satisfied" } else { "not satisfied" };
    let (consent, toggle) = (asking.consent, asking.toggle);
    writeln!(out, "  2 basis {} {satisfied} (consent {consent}, switch {toggle})", cell.basis)?;
    writeln!(out, "  3 granted by the basis: {}", steps.by_basis)?;
    writeln!(out, "    after the switch: {}", steps.after_switch)?;
    writeln!(out, "    after the privacy control: {}", steps.after_gpc)?;
    let sensitive = law.policy.fields().sensitive_basis;
    let consent = asking.sensitive;
    let after = steps.after_sensitive;
    writeln!(out, "    after sensitive consent ({sensitive}, {consent}): {after}")?;
    writeln!(out, "  4 stored profile may be read: {}", steps.read)?;
    writeln!(out, "    home processes in: {}", law.home.process_in)?;
    writeln!(out, "    location processes in: {}", law.location.process_in)?;
    writeln!(out, "  5 variant: {}, needs {}", decision.variant, decision.variant.needs())?;
    writeln!(out, "  6 events: {}", decision.event_store)?;
    writeln!(out, "    home stores in: {}", law.home.store_in)?;
    writeln!(out, "    location stores in: {}", law.location.store_in)
}

/// The rules of a side's chain that apply at an age.
fn side_rules(side: &Side, service: Service, age: u8) -> Vec<(&PackFile, Box<str>)> {
    let Some(flat) = side.resolved.flat() else { return Vec::new() };
    (flat.chain().iter())
        .filter_map(|file| Some((&**file, file.rule_for(flat.values(), service, age)?.id.clone())))
        .collect()
}

fn write_policy(out: &mut impl Write, law: &Applicable) -> io::Result<()> {
    writeln!(out, "\nEffective policy")?;
    for (path, value) in law.policy.fields().shown() {
        if path == "age_rules" {
            continue;
        }
        writeln!(out, "  {path} = {value}{}", sources(law, path))?;
    }
    Ok(())
}

/// The packs that say something about a field.
fn sources(law: &Applicable, path: &str) -> String {
    let top = path.split('.').next().unwrap_or(path);
    let exact = path.contains('.');
    let mut found: Vec<&str> = Vec::new();
    for flat in flats(law) {
        for file in flat.chain() {
            let says = file.names(if exact { path } else { top });
            if says && !found.contains(&file.pack().as_str()) {
                found.push(file.pack().as_str());
            }
        }
    }
    if found.is_empty() { String::new() } else { format!("  ({})", found.join(", ")) }
}

fn flats(law: &Applicable) -> impl Iterator<Item = &Flat> {
    [&law.home, &law.location].into_iter().filter_map(|side| side.resolved.flat()).map(|f| &**f)
}

fn write_citations(
    out: &mut impl Write,
    law: &Applicable,
    asking: &Asking,
    decision: &Decision,
) -> io::Result<()> {
    writeln!(out, "\nCitations")?;
    let mut said: Vec<String> = Vec::new();
    for flat in flats(law) {
        for file in flat.chain() {
            let rule = file.rule_for(flat.values(), asking.service, decision.steps.age);
            for basis in file.legal_basis() {
                let about = |name: &str| match file.age_rules().iter().find(|r| *r.id == *name) {
                    Some(_) => rule.is_some_and(|rule| *rule.id == *name),
                    None => true,
                };
                if basis.rules.iter().any(|name| about(name)) {
                    let (pack, rules) = (file.pack(), basis.rules.join(", "));
                    let line = format!("  {pack} {rules}: {} ({})", basis.cite, basis.status);
                    if !said.contains(&line) {
                        said.push(line);
                    }
                }
            }
        }
    }
    said.iter().try_for_each(|line| writeln!(out, "{line}"))
}
