use std::path::Path;

use crate::{Config, RawConfig};

const GOOD: &str = r#"
location = "EU-DE"
identity = "."
trust = "."
trusted_proxies = ["10.0.0.0/8"]
[tokens]
jwks = "jwks.json"
issuers = ["https://id.example"]
audience = "bailiwick"
clients = { demo = "general", feed = "vlop" }
[[nodes]]
name = "eu-west-1"
domain = "eu"
region = "eu-west"
address = "127.0.0.1:7001"
[edges]
eu = "https://eu.example"
[limits]
concurrency_max = 10
"#;

/// Reads and checks a file; what is wrong comes back as `field` names.
fn check(text: &str, expected: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("jwks.json"), "{}").unwrap();
    let here = dir.path().display().to_string();
    let text = text
        .replace("jwks.json", &format!("{here}/jwks.json"))
        .replace(r#"= ".""#, &format!(r#"= "{here}""#));
    let file = dir.path().join("router.toml");
    std::fs::write(&file, &text).unwrap();
    let found = RawConfig::read(&file).and_then(Config::try_from);
    let fields: Vec<String> = match found {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.into_iter().map(|fault| fault.field).collect(),
    };
    assert_eq!(fields, expected, "{text}");
}

#[test]
fn every_error_is_told_at_once() {
    check(GOOD, &[]);
    let bad = GOOD
        .replace("EU-DE", "EU_DE")
        .replace("10.0.0.0/8", "10.0.0.0/80")
        .replace("vlop", "huge")
        .replace("127.0.0.1:7001", "localhost")
        .replace("https://eu.example", "https://eu.example/path")
        .replace("concurrency_max = 10", "concurrency_max = 0\nbody_timeout_ms = 0")
        .replace("jwks.json", "missing.json");
    check(
        &bad,
        &[
            "location",
            "tokens.clients.feed",
            "nodes[0].address",
            "edges.eu",
            "trusted_proxies",
            "limits.body_timeout_ms",
            "limits.concurrency_max",
            "tokens.jwks",
        ],
    );
}

#[test]
fn unknown_and_missing_fields_are_named() {
    check(&GOOD.replace("location", "loc"), &["loc"]);
    let missing = GOOD.replace("audience = \"bailiwick\"\n", "");
    check(&missing, &["tokens"]);
    let error = RawConfig::read(Path::new("/nowhere/router.toml")).unwrap_err();
    assert!(error.to_string().contains("no such file"), "{error}");
}
