//! The laws of the meet and of the decision, on random packs that come in by the front door, as files.

use std::sync::LazyLock;

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::cells::Cell;
use super::*;

const DOMAINS: [&str; 4] = ["aa", "bb", "cc", "dd"];

fn cell() -> impl Strategy<Value = Cell> {
    let events = || select(EventClass::ALL.to_vec());
    (select(Basis::ALL.to_vec()), 0..128_u32, 0..128_u32, events(), events()).prop_map(
        |(basis, without, with, a, b)| Cell {
            basis,
            without: SignalSet::from_bits(without & with),
            with: SignalSet::from_bits(with),
            events_without: a.min(b),
            events_with: b,
        },
    )
}

fn list<T: Word>(set: WordSet<T>) -> String {
    let quoted: Vec<_> = set.iter().map(|w| format!("\"{}\"", w.as_str())).collect();
    format!("[{}]", quoted.join(", "))
}

fn rule(id: &str, from: u8, svc: &str, cell: &Cell) -> String {
    format!(
        "[[age_rules]]\nid = \"{id}\"\nfrom = {from}\n{svc}basis = \"{}\"\nwithout = {}\nwith = {}\nevents_without = \"{}\"\nevents_with = \"{}\"\n[[legal_basis]]\nrule = \"{id}\"\ncite = \"law\"\nstatus = \"firm\"\n",
        cell.basis,
        list(cell.without),
        list(cell.with),
        cell.events_without,
        cell.events_with
    )
}

/// Age rules that are monotone by construction: each younger cell is a meet with the older one.
fn age_rules() -> impl Strategy<Value = String> {
    (vec(cell(), 4), btree_set(1..18_u8, 2), cell()).prop_map(|(cells, years, social)| {
        let froms: Vec<u8> = std::iter::once(0).chain(years).chain([18]).collect();
        let mut older = cells[0];
        let mut text = String::new();
        for (i, from) in froms.iter().enumerate().rev() {
            older = older.meet(&cells[i]);
            text += &rule(&format!("r{i}"), *from, "", &older);
        }
        // A rule for one kind of service, stricter than the youngest.
        text + &rule("social", 0, "svc = [\"social\"]\n", &older.meet(&social))
    })
}

fn domains() -> impl Strategy<Value = String> {
    let quoted = |list: Vec<&str>| format!("{list:?}");
    prop_oneof![
        Just("\"all\"".to_owned()),
        subsequence(DOMAINS.to_vec(), 0..4).prop_map(quoted),
        subsequence(DOMAINS.to_vec(), 0..3)
            .prop_map(move |list| format!("{{ all_except = {} }}", quoted(list))),
    ]
}

fn line<T: ToString>(name: &'static str) -> impl Fn(Option<T>) -> String {
    move |value| value.map_or(String::new(), |v| format!("{name} = {}\n", v.to_string()))
}

fn top_level() -> impl Strategy<Value = String> {
    let duties = 0..(1_u32 << 12);
    (select(vec!["minor", "adult"]), select(vec!["minor", "adult"]), duties).prop_map(
        |(default, social, duties)| {
            format!(
                "unknown_age = {{ default = \"{default}\", social = \"{social}\" }}\ntransparency = {}\n",
                list::<Transparency>(WordSet::from_bits(duties))
            )
        },
    )
}

fn sections() -> impl Strategy<Value = String> {
    let residency = (domains(), domains()).prop_map(|(store, process)| {
        format!("[residency]\nstore_in = {store}\nprocess_in = {process}\n")
    });
    let conduct = (select(SensitiveBasis::ALL.to_vec()), 0..128_u32, 0..128_u32).prop_map(
        |(basis, gpc, toggle)| {
            format!(
                "[sensitive]\nbasis = \"{basis}\"\n[signals]\ngpc = {}\ntoggle_off = {}\n",
                list::<Signal>(WordSet::from_bits(gpc)),
                list::<Signal>(WordSet::from_bits(toggle))
            )
        },
    );
    let ranking = (option::of(1..2000_u32), option::of(0..10_u8), option::of(1..5_u8)).prop_map(
        |(k, floor, share)| {
            let floor = floor.map(|tenths| f64::from(tenths) / 10.0);
            let share = share.map(|tenths| format!("{{ AA = 0.{tenths} }}"));
            format!(
                "[ranking]\n{}{}{}",
                line("k_min")(k),
                line("diversity_floor")(floor),
                line("local_share")(share)
            )
        },
    );
    let kept =
        (option::of(1..99_u32), option::of((0..300_u32, 0..300_u32))).prop_map(|(days, log)| {
            let log = log.map(|(min, more)| format!("[{min}, {}]", min + more));
            format!(
                "[rights]\n{}[retention]\n{}",
                line("erasure_days")(days),
                line("decision_log_days")(log)
            )
        });
    (residency, conduct, ranking, kept).prop_map(|(a, b, c, d)| [a, b, c, d].concat())
}

fn pack_text(id: &'static str, domain: &'static str) -> impl Strategy<Value = String> {
    (top_level(), age_rules(), sections()).prop_map(move |(top, rules, sections)| {
        format!(
            "schema = 1\npack = \"{id}\"\nversion = 1\ntitle = \"t\"\ndomain = \"{domain}\"\napplies = [\"resident\", \"present\"]\neffective_from = 2020-01-01\n{top}{rules}{sections}"
        )
    })
}

fn three() -> impl Strategy<Value = PackSet> {
    (pack_text("AA", "aa"), pack_text("BB", "bb"), pack_text("AA-1", "aa")).prop_map(|(a, b, c)| {
        let child = c.replace("applies", "inherits = \"AA\"\napplies");
        let files = [a, b, child]
            .map(|text| PackFile::parse(&text).unwrap_or_else(|errors| panic!("{errors}\n{text}")));
        PackSet::compile(files).unwrap()
    })
}

fn policy(packs: &PackSet, id: &str) -> Policy {
    let id = id.parse().unwrap();
    (*packs.applicable(&id, &id, "2026-11-22".parse().unwrap()).policy).clone()
}

fn asking() -> impl Strategy<Value = Asking> {
    (
        select(Service::ALL.to_vec()),
        select(AgeBand::ALL.to_vec()),
        select(Consent::ALL.to_vec()),
        select(Toggle::ALL.to_vec()),
        select(vec![Gpc::Absent, Gpc::Sent]),
        select(SensitiveConsent::ALL.to_vec()),
        select(vec![HomeReach::Reachable, HomeReach::Unreachable]),
    )
        .prop_map(|(service, age_band, consent, toggle, gpc, sensitive, reach)| Asking {
            service,
            age_band,
            consent,
            toggle,
            gpc,
            sensitive,
            reach,
        })
}

fn case() -> impl Strategy<Value = Inputs> {
    let place = || select(vec!["AA", "AA-1", "BB", "AA-2", "ZZ"]);
    (place(), place(), asking()).prop_map(|(home, location, asking)| Inputs {
        on: "2026-11-22".parse().unwrap(),
        home: home.parse().unwrap(),
        location: location.parse().unwrap(),
        asking,
    })
}

static DEFAULTS: LazyLock<PackSet> = LazyLock::new(default_packs);

fn default_case() -> impl Strategy<Value = Inputs> {
    let ids: Vec<String> = (DEFAULTS.packs().map(|p| p.pack().to_string()))
        .chain(["US-TX".to_owned(), "EU-ES".to_owned(), "unknown".to_owned()])
        .collect();
    let days = vec!["2024-02-16", "2026-04-22", "2026-11-22", "2027-01-01", "2027-06-01"];
    (select(ids.clone()), select(ids), select(days), asking()).prop_map(
        |(home, location, on, asking)| Inputs {
            on: on.parse().unwrap(),
            home: home.parse().unwrap(),
            location: location.parse().unwrap(),
            asking,
        },
    )
}

/// What a decision lets happen, compared: signals, variant, reading and events.
fn no_more(less: &Decision, more: &Decision) -> Result<(), TestCaseError> {
    prop_assert!(less.granted.is_subset(more.granted), "{} / {}", less.granted, more.granted);
    prop_assert!(less.variant >= more.variant);
    prop_assert!(!less.third_party_data() || more.third_party_data());
    let rank = |d: &Decision| match d.event_store {
        EventStore::None => 0,
        EventStore::Aggregate => 1,
        EventStore::Linked(_) | EventStore::Buffer(_) => 2,
    };
    // An event that may be linked but stored nowhere is kept less than a counted one.
    let barred = more.reasons.contains(Reason::StoreBarred);
    prop_assert!(rank(less) <= rank(more) || barred);
    Ok(())
}

fn never_enlarged(packs: &PackSet, inputs: &Inputs) -> Result<(), TestCaseError> {
    let full = decide(packs, inputs);
    let with = |change: fn(&mut Asking)| {
        let mut changed = inputs.clone();
        change(&mut changed.asking);
        decide(packs, &changed)
    };
    no_more(&with(|a| a.toggle = Toggle::Off), &full)?;
    no_more(&with(|a| a.gpc = Gpc::Sent), &full)?;
    no_more(&with(|a| a.consent = Consent::Withdrawn), &full)?;
    no_more(&with(|a| a.consent = Consent::Refused), &full)?;
    no_more(&with(|a| a.sensitive = SensitiveConsent::No), &full)?;
    let unreachable = with(|a| a.reach = HomeReach::Unreachable);
    prop_assert!(unreachable.granted.is_subset(full.granted));
    for younger in AgeBand::ALL {
        if younger.lower_bound() < Some(full.steps.age) && younger.lower_bound().is_some() {
            let mut changed = inputs.clone();
            changed.asking.age_band = *younger;
            no_more(&decide(packs, &changed), &full)?;
        }
    }
    Ok(())
}

const BASES: [Reason; 10] = [
    Reason::BasisFree,
    Reason::BasisOptOut,
    Reason::BasisConsent,
    Reason::BasisParental,
    Reason::ProfileForbidden,
    Reason::UserOff,
    Reason::ConsentWithdrawn,
    Reason::ConsentRefused,
    Reason::ParentalRequired,
    Reason::ConsentMissing,
];

fn well_formed(packs: &PackSet, inputs: &Inputs) -> Result<(), TestCaseError> {
    let decision = decide(packs, inputs);
    let bases: Reasons = BASES.into_iter().collect();
    prop_assert_eq!(decision.reasons.intersection(bases).len(), 1, "{}", decision.reasons);
    prop_assert_eq!(decision.variant, Variant::of(decision.granted));
    prop_assert!(decision.variant.reads_profile() || decision.profile_read == ProfileRead::No);
    prop_assert_eq!(&decision, &decide(packs, inputs), "the same inputs, the same decision");
    let most = ceiling(packs, inputs);
    prop_assert!(decision.granted.is_subset(most.granted), "the ceiling is above");
    prop_assert!(decision.variant >= most.variant);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_meet_is_a_meet(packs in three()) {
        let (a, b, c) = (policy(&packs, "AA"), policy(&packs, "BB"), policy(&packs, "AA-1"));
        prop_assert_eq!(a.meet(&b), b.meet(&a));
        prop_assert_eq!(a.meet(&b).meet(&c), a.meet(&b.meet(&c)));
        prop_assert_eq!(a.meet(&a), a.clone());
        prop_assert_eq!(a.meet(&Policy::top()), a.clone());
        prop_assert_eq!(a.meet(&Policy::strict()), Policy::strict());
        prop_assert!(a.meet(&b).within(&a) && a.meet(&b).within(&b));
        prop_assert!(Policy::strict().within(&a) && a.within(&Policy::top()));
        prop_assert!(c.within(&a), "a child only tightens its parent");
        prop_assert_eq!(classify(&a, &a.meet(&b)) == Change::Same, a.within(&b));
        for service in Service::ALL {
            for age in 0..=ADULT {
                let cell = a.meet(&b).fields().cells.at(*service, age);
                prop_assert!(cell.without.is_subset(cell.with), "without stays inside with");
            }
        }
    }

    #[test]
    fn any_two_packs_decide_well(packs in three(), inputs in vec(case(), 16)) {
        for inputs in &inputs {
            well_formed(&packs, inputs)?;
            never_enlarged(&packs, inputs)?;
        }
    }

    #[test]
    fn the_default_packs_decide_well(inputs in vec(default_case(), 32)) {
        for inputs in &inputs {
            well_formed(&DEFAULTS, inputs)?;
            never_enlarged(&DEFAULTS, inputs)?;
        }
    }

    #[test]
    fn a_roll_out_grants_no_more_than_either(old in three(), new in three(), inputs in vec(case(), 8)) {
        let both = PackSet::during(&old, &new);
        for inputs in &inputs {
            let held = decide(&both, inputs);
            for one in [&old, &new] {
                let signals = decide(one, inputs).steps.after_sensitive;
                prop_assert!(held.steps.after_sensitive.is_subset(signals));
            }
            prop_assert_eq!(
                held.granted,
                decide(&PackSet::during(&new, &old), inputs).granted,
                "whichever arrives first"
            );
        }
    }
}
