//! Stories of receipts: what they grant, what they take away, and who may say so.

use super::*;
use crate::seal::keys::receipt_public;

const ISSUED: UnixMillis = UnixMillis(1_800_000_000_000);
const MINUTE: i64 = 60_000;

fn domain(text: &str) -> DomainId {
    text.parse().unwrap()
}

fn signer(name: &str, seed: u8) -> ReceiptSigner {
    ReceiptSigner::new(domain(name), &Secret::new([seed; 32])).unwrap()
}

fn person(subject: &str) -> PersonDigest {
    PersonDigest::of(0, &"https://id".parse().unwrap(), &subject.parse().unwrap())
}

fn keys() -> ReceiptKeys {
    let public = |seed| receipt_public(&Secret::new([seed; 32])).unwrap();
    ReceiptKeys::new([(domain("eu"), public(1)), (domain("us"), public(2))].into())
}

fn state(consent: &str, sensitive: &str, toggle: &str) -> ConsentState {
    ConsentState {
        consent: consent.parse().unwrap(),
        sensitive: sensitive.parse().unwrap(),
        toggle: toggle.parse().unwrap(),
        revision: 7,
        changed: ISSUED,
        asked: ISSUED,
    }
}

fn verify(text: &str, now: UnixMillis) -> Result<ReceiptFacts, ReceiptError> {
    let holder = Holder { person: &person("alice"), home: &domain("eu"), audience: "app" };
    keys().verify(text, &holder, now)
}

/// What a receipt of `choices` (consent, sensitive, toggle) says after so many minutes.
fn check(choices: [&str; 3], minutes: i64, expected: [&str; 3]) {
    let [consent, sensitive, toggle] = choices;
    let blocked = [Block { item: "13".parse().unwrap(), at: ISSUED }];
    let state = state(consent, sensitive, toggle);
    let text = signer("eu", 1).issue(&state, &blocked, &person("alice"), "app", ISSUED);
    let facts = verify(&text, ISSUED.plus(minutes * MINUTE)).unwrap();
    let found = [facts.consent.as_str(), facts.sensitive.as_str(), facts.toggle.as_str()];
    assert_eq!(found, expected, "{choices:?} after {minutes} min");
    assert_eq!(facts.blocked, ["13".parse().unwrap()], "blocks never expire");
}

#[test]
fn grants_expire_and_refusals_do_not() {
    check(["granted", "yes", "on"], 0, ["granted", "yes", "on"]);
    check(["granted", "yes", "on"], 10, ["granted", "yes", "on"]);
    check(["granted", "yes", "on"], 11, ["none", "unset", "unset"]);
    check(["parental", "unset", "unset"], 11, ["none", "unset", "unset"]);
    check(["refused", "no", "off"], 0, ["refused", "no", "off"]);
    check(["refused", "no", "off"], 1_000_000, ["refused", "no", "off"]);
    check(["withdrawn", "yes", "on"], 11, ["withdrawn", "unset", "unset"]);
    check(["granted", "no", "unset"], 11, ["none", "no", "unset"]);
    check(["granted", "yes", "off"], 11, ["none", "unset", "off"]);
    check(["granted", "yes", "on"], -1, ["none", "unset", "unset"]);
    check(["withdrawn", "yes", "off"], -1, ["withdrawn", "unset", "off"]);
}

#[test]
fn clocks_may_differ_a_little() {
    let state = state("granted", "unset", "unset");
    let text = signer("eu", 1).issue(&state, &[], &person("alice"), "app", ISSUED);
    let at = |ms| verify(&text, ISSUED.plus(ms)).unwrap().freshness;
    assert_eq!(at(-limits::CLOCK_SKEW_MS_MAX), Freshness::Fresh);
    assert_eq!(at(-limits::CLOCK_SKEW_MS_MAX - 1), Freshness::Untimely);
    assert_eq!(at(limits::RECEIPT_LIFE_MS), Freshness::Fresh);
    assert_eq!(at(limits::RECEIPT_LIFE_MS + 1), Freshness::Untimely);
    assert_eq!(verify(&text, UnixMillis(i64::MAX)).unwrap().freshness, Freshness::Untimely);
    assert_eq!(verify(&text, UnixMillis(i64::MIN)).unwrap().freshness, Freshness::Untimely);
}

#[test]
fn only_home_speaks_for_a_person_and_only_to_their_app() {
    let state = state("granted", "unset", "unset");
    let issue = |signer: ReceiptSigner, subject, audience| {
        signer.issue(&state, &[], &person(subject), audience, ISSUED)
    };
    let refused = |text: String| verify(&text, ISSUED).unwrap_err();
    assert_eq!(refused(issue(signer("eu", 1), "bob", "app")), ReceiptError::OtherPerson);
    assert_eq!(refused(issue(signer("eu", 1), "alice", "x")), ReceiptError::OtherAudience);
    // A true receipt of another domain: its nodes can't grant for the people of this one.
    let abroad = refused(issue(signer("us", 2), "alice", "app"));
    assert!(matches!(abroad, ReceiptError::NotHome { .. }), "{abroad}");
    // A foreign key under the home's name.
    assert_eq!(refused(issue(signer("eu", 2), "alice", "app")), ReceiptError::Signature);
    let unknown = refused(issue(signer("in", 1), "alice", "app"));
    assert!(matches!(unknown, ReceiptError::UnknownDomain { .. }), "{unknown}");
}

#[test]
fn a_receipt_can_not_be_changed() {
    let state = state("refused", "no", "off");
    let text = signer("eu", 1).issue(&state, &[], &person("alice"), "app", ISSUED);
    let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
    for at in 0..bytes.len() {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        assert!(verify(&URL_SAFE_NO_PAD.encode(forged), ISSUED).is_err(), "byte {at}");
    }
    for text in ["", "%%%", "AAAA", &"A".repeat(RECEIPT_BYTES_MAX + 1)] {
        assert!(verify(text, ISSUED).is_err());
    }
}

#[test]
fn the_newest_blocks_fit_and_the_text_stays_bounded() {
    for (bytes, least) in [(128, 40), (5, 700)] {
        let blocked: Vec<Block> = (0..10_000)
            .map(|n| Block { item: format!("{n:0>bytes$}").parse().unwrap(), at: ISSUED.plus(-n) })
            .collect();
        let audience = "a".repeat(300);
        let state = state("granted", "unset", "unset");
        let text = signer("eu", 1).issue(&state, &blocked, &person("alice"), &audience, ISSUED);
        assert!(text.len() <= RECEIPT_BYTES_MAX, "{}", text.len());
        let audience = "a".repeat(256);
        let (person, home) = (person("alice"), domain("eu"));
        let holder = Holder { person: &person, home: &home, audience: &audience };
        let facts = keys().verify(&text, &holder, ISSUED).unwrap();
        assert!(facts.blocked.len() >= least, "{} of {bytes} bytes", facts.blocked.len());
        assert_eq!(facts.blocked[0], blocked[0].item);
    }
}
