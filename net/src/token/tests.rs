use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::*;

const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

struct Office {
    dir: tempfile::TempDir,
    minter: TokenMinter,
    verifier: TokenVerifier,
}

fn office() -> Office {
    let dir = tempfile::tempdir().unwrap();
    let minter = minter(&dir, "key.pem");
    let jwks = dir.path().join("jwks.json");
    minter.write_jwks(&jwks).unwrap();
    let settings = TokenSettings {
        jwks,
        issuers: ["dev".parse().unwrap()].into(),
        audience: "bailiwick".into(),
        clients: [("demo".to_owned(), Service::Social)].into(),
    };
    let verifier = TokenVerifier::open(settings).unwrap();
    Office { dir, minter, verifier }
}

fn minter(dir: &tempfile::TempDir, name: &str) -> TokenMinter {
    TokenMinter::open(&dir.path().join(name), "dev".parse().unwrap(), "bailiwick").unwrap()
}

fn alice() -> Value {
    let now = NOW.0 / 1000;
    json!({
        "iss": "dev", "aud": "bailiwick", "iat": now, "exp": now + 3600, "sub": "alice",
        "home": "EU-DE", "azp": "demo", "age_band": "18+", "scope": "recommend events openid",
    })
}

fn with(changes: Value) -> Value {
    let mut claims = alice();
    for (key, value) in changes.as_object().unwrap() {
        claims[key] = value.clone();
    }
    claims
}

/// Signs the claims with the right key; `expected` is `ok` or a part of the refusal.
fn check(changes: Value, expected: &str) {
    let office = office();
    let token = office.minter.sign_raw(&with(changes.clone()));
    match office.verifier.verify(&token, NOW) {
        Ok(_) => assert_eq!("ok", expected, "{changes}"),
        Err(refusal) => {
            let words = refusal.to_string();
            assert!(words.contains(expected), "{changes}: {words}");
            assert!(!words.contains("alice"), "{words}");
            assert_eq!(refusal.kind(), Kind::Unauthenticated);
        }
    }
}

#[test]
fn a_minted_token_says_what_was_put_in() {
    let office = office();
    let token = NewToken {
        subject: "gina".parse().unwrap(),
        home: "US-CA".parse().unwrap(),
        azp: "demo".into(),
        age_band: AgeBand::Adult,
        scopes: [Scope::Guardian, Scope::Person].into(),
        child: Some("kim".parse().unwrap()),
        life_s: 600,
    };
    let text = office.minter.mint(&token, NOW).unwrap();
    let found = office.verifier.verify(&text, NOW).unwrap();
    assert_eq!(found.person().as_str(), "kim");
    assert_eq!(found.subject.as_str(), "gina");
    assert_eq!(found.home.as_str(), "US-CA");
    assert_eq!(found.app, App { azp: "demo".into(), service: Service::Social });
    assert_eq!(found.expires, NOW.plus(600_000));
    assert!(found.allows(Scope::Guardian).is_ok());
    let lacking = found.allows(Scope::ItemsWrite).unwrap_err();
    assert_eq!((lacking.kind, lacking.message.contains("items:write")), (Kind::Refused, true));
    let shown = format!("{found:?}");
    assert!(!shown.contains("gina") && !shown.contains("kim") && !shown.contains("US"), "{shown}");
}

#[test]
fn claims_are_checked_one_by_one() {
    let now = NOW.0 / 1000;
    check(json!({}), "ok");
    check(json!({"aud": ["other", "bailiwick"]}), "ok");
    check(json!({"home": "XX-99"}), "ok");
    check(json!({"age_band": null, "scope": null}), "ok");
    check(json!({"exp": now - 4}), "ok");
    check(json!({"exp": now - 5}), "expired");
    check(json!({"exp": now + 3601}), "longer than 3600 s");
    check(json!({"exp": now + 10, "iat": now - 3595}), "longer than 3600 s");
    check(json!({"iat": null, "exp": now + 3600}), "ok");
    check(json!({"iat": null, "exp": now + 4000}), "longer than 3600 s");
    check(json!({"exp": null}), "lacks the claim `exp`");
    check(json!({"exp": "soon"}), "`exp` is malformed");
    check(json!({"exp": u64::MAX}), "longer than");
    check(json!({"exp": -1}), "`exp` is malformed");
    check(json!({"iat": now + 60}), "not valid yet");
    check(json!({"nbf": now + 60}), "not valid yet");
    check(json!({"iss": "evil"}), "issuer (iss)");
    check(json!({"iss": null}), "lacks the claim `iss`");
    check(json!({"aud": "other"}), "another audience");
    check(json!({"aud": null}), "lacks the claim `aud`");
    check(json!({"sub": null}), "lacks the claim `sub`");
    check(json!({"sub": ""}), "`sub` is malformed");
    check(json!({"sub": 7}), "`sub` is malformed: a text is due");
    check(json!({"home": "EU_DE"}), "`home` is malformed");
    check(json!({"home": null}), "lacks the claim `home`");
    check(json!({"azp": "unregistered"}), "(azp) is not registered");
    check(json!({"azp": null}), "lacks the claim `azp`");
    check(json!({"age_band": "17"}), "`age_band` is malformed");
    check(json!({"child": "kim"}), "needs the scope `guardian`");
}

#[test]
fn only_the_named_keys_signature_counts() {
    let office = office();
    let verify = |token: &str| office.verifier.verify(token, NOW);
    let good = office.minter.sign_raw(&alice());
    assert!(verify(&good).is_ok());

    let stranger = minter(&office.dir, "other.pem");
    assert_eq!(verify(&stranger.sign_raw(&alice())), Err(TokenRefusal::UnknownKey));

    // Another person's claims under this signature.
    let (head, signature) = good.rsplit_once('.').unwrap();
    let mut forged = with(json!({"sub": "mallory"}));
    forged["iss"] = json!("dev");
    let body = office.minter.sign_raw(&forged);
    let body = body.rsplit_once('.').unwrap().0;
    assert_eq!(verify(&format!("{body}.{signature}")), Err(TokenRefusal::Signature));
    assert_eq!(verify(&format!("{head}.")), Err(TokenRefusal::Signature));

    for junk in ["", "a", "a.b.c", "....", "e30.e30.e30", "\u{0}"] {
        assert!(verify(junk).is_err(), "{junk:?}");
    }
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(verify(&long), Err(TokenRefusal::TooLarge { bytes: TOKEN_BYTES_MAX + 1 }));
}

/// The known attacks: no signature at all, and the public key taken for a shared secret.
#[test]
fn the_token_does_not_choose_how_it_is_verified() {
    let office = office();
    let kid = office.minter.kid().to_owned();
    let sign = |alg, secret: &[u8]| {
        let header =
            jsonwebtoken::Header { kid: Some(kid.clone()), ..jsonwebtoken::Header::new(alg) };
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&header, &alice(), &key).unwrap()
    };
    let jwks = std::fs::read(office.dir.path().join("jwks.json")).unwrap();
    let hmac = sign(jsonwebtoken::Algorithm::HS256, &jwks);
    assert_eq!(office.verifier.verify(&hmac, NOW), Err(TokenRefusal::Form));
    // {"alg":"none","kid":"k"}
    let body = hmac.split('.').nth(1).unwrap();
    let none = format!("eyJhbGciOiJub25lIiwia2lkIjoiayJ9.{body}.");
    assert_eq!(office.verifier.verify(&none, NOW), Err(TokenRefusal::Form));
}

#[test]
fn a_changed_key_set_takes_effect_and_a_broken_one_does_not() {
    let office = office();
    let jwks = office.dir.path().join("jwks.json");
    let old = office.minter.sign_raw(&alice());
    let next = minter(&office.dir, "next.pem");
    let new = next.sign_raw(&alice());
    assert!(office.verifier.verify(&old, NOW).is_ok());

    std::fs::write(&jwks, "{").unwrap();
    assert!(office.verifier.verify(&old, NOW.plus(2000)).is_ok());

    next.write_jwks(&jwks).unwrap();
    // The same length as the first: only the time of the change tells them apart.
    let file = std::fs::File::open(&jwks).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(10)).unwrap();
    assert!(office.verifier.verify(&new, NOW.plus(4000)).is_ok());
    assert_eq!(office.verifier.verify(&old, NOW.plus(4000)), Err(TokenRefusal::UnknownKey));
}

#[test]
fn a_token_that_was_seen_is_checked_against_the_time_and_the_keys_of_each_request() {
    let office = office();
    let token = office.minter.sign_raw(&alice());
    let first = office.verifier.verify(&token, NOW).unwrap();
    assert_eq!(office.verifier.seen.count(), 1);
    assert_eq!(office.verifier.verify(&token, NOW).unwrap(), first);
    assert_eq!(office.verifier.verify(&token, NOW.plus(3_700_000)), Err(TokenRefusal::Expired));
    assert_eq!(office.verifier.verify(&token, NOW.plus(-600_000)), Err(TokenRefusal::Early));
    // A key set that was read again holds other keys, even where their names and bytes are the same.
    let jwks = office.dir.path().join("jwks.json");
    office.minter.write_jwks(&jwks).unwrap();
    let file = std::fs::File::open(&jwks).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(10)).unwrap();
    assert_eq!(office.verifier.verify(&token, NOW.plus(2000)).unwrap(), first);
    assert_eq!(office.verifier.seen.count(), 1);
}

#[test]
fn a_token_with_a_wrong_signature_is_not_kept_and_every_byte_counts() {
    let office = office();
    let token = office.minter.sign_raw(&alice());
    assert!(office.verifier.verify(&token, NOW).is_ok());
    for at in (0..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(office.verifier.verify(&changed, NOW).is_err(), "byte {at}");
    }
    assert_eq!(office.verifier.seen.count(), 1);
}

#[test]
fn key_sets_that_cannot_be_used_are_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let jwks = dir.path().join("jwks.json");
    let refused = |text: &str| {
        std::fs::write(&jwks, text).unwrap();
        super::keys::KeyFile::open(jwks.clone()).unwrap_err().to_string()
    };
    assert!(refused("").contains("not a JWKS"));
    assert!(refused(r#"{"keys": []}"#).contains("no Ed25519"));
    let short = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "AAAA"}]}"#;
    assert!(refused(short).contains("`a` is malformed"));
    let symmetric = r#"{"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]}"#;
    assert!(refused(symmetric).contains("no Ed25519"));
}

#[cfg(unix)]
#[test]
fn a_new_key_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let office = office();
    let file = office.dir.path().join("key.pem");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = minter(&office.dir, "key.pem");
    assert_eq!(again.kid(), office.minter.kid());
}
