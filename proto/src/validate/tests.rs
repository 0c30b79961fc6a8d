use super::*;

/// A JSON body through reading and checking; `expected` is `ok` or the field and a part of the message.
fn check<T: serde::de::DeserializeOwned, U>(
    checker: impl FnOnce(T) -> Checked<U>,
    body: &str,
    expected: (&str, &str),
) {
    let found = read_json::<T>(body.as_bytes()).and_then(checker);
    let shown = match &found {
        Ok(_) => ("ok", ""),
        Err(failure) => (failure.field.as_deref().unwrap_or("-"), failure.message.as_str()),
    };
    let short: String = body.chars().take(120).collect();
    assert_eq!(shown.0, expected.0, "{short}: {}", shown.1);
    assert!(shown.1.contains(expected.1), "{short}: `{}` lacks `{}`", shown.1, expected.1);
}

const OK: (&str, &str) = ("ok", "");

#[test]
fn a_request_for_a_list_is_refused_by_field() {
    let ask = |body: &str, expected| check(recommend, body, expected);
    ask("{}", OK);
    ask(r#"{"limit": 1000, "session": ["1", "1"], "filter": {"category": ["Drama"]}}"#, OK);
    ask(r#"{"limit": null}"#, OK);
    ask(r#"{"limit": 0}"#, ("limit", "limit is 0"));
    ask(r#"{"limit": 1001}"#, ("limit", "1 to 1000"));
    ask(r#"{"limit": 1000000000}"#, ("limit", "limit is 1000000000"));
    ask(r#"{"limit": -1}"#, ("limit", "invalid value"));
    ask(r#"{"limit": "20"}"#, ("limit", "invalid type"));
    ask(r#"{"session": ["318", ""]}"#, ("session[1]", "empty"));
    ask(r#"{"session": ["3\u000018"]}"#, ("session[0]", "character"));
    ask(r#"{"exclude": [7]}"#, ("exclude[0]", "invalid type"));
    ask(r#"{"context": {"item": ""}}"#, ("context.item", "empty"));
    ask(r#"{"filter": {"category": [""]}}"#, ("filter.category[0]", "empty"));
    ask(r#"{"revision": ""}"#, ("revision", "empty"));
    ask(r#"{"limits": 3}"#, ("limits", "unknown field `limits`"));
    ask(r#"{"context": {"itm": "1"}}"#, ("context.itm", "unknown field `itm`"));
    ask(r#"{"limit": 3"#, ("-", "EOF"));
    ask(r#"{"limit": 3} x"#, ("-", "trailing"));
    ask("[20]", ("-", "object"));
    ask("", ("-", "object"));
    let long = "x".repeat(1_000_000);
    ask(&format!(r#"{{"session": ["{long}"]}}"#), ("session[0]", "1000000 bytes"));
    let many = vec![r#""1""#; 201].join(",");
    ask(&format!(r#"{{"session": [{many}]}}"#), ("session", "201 entries"));
}

#[test]
fn one_bad_event_refuses_the_batch() {
    let event = |id: &str, rest: &str| format!(r#"{{"id": "{id}", "item": "1"{rest}}}"#);
    let record = |list: &[String], expected| {
        check(events, &format!(r#"{{"events": [{}]}}"#, list.join(",")), expected);
    };
    let good = event("a", r#", "kind": "rate", "value": 5.0, "at": "2026-11-22T10:00:00Z""#);
    record(std::slice::from_ref(&good), OK);
    record(&[], ("events", "empty"));
    let with = |rest: &str| [good.clone(), event("b", rest)];
    record(&with(r#", "kind": "rates""#), ("events[1].kind", "allowed: impression, view"));
    record(&with(""), ("events[1].kind", "is ``,"));
    record(&with(r#", "kind": "view", "at": "yesterday""#), ("events[1].at", "RFC 3339"));
    record(&with(r#", "kind": "view", "at": "2026-13-01T00:00:00Z""#), ("events[1].at", ""));
    record(&with(r#", "kind": "view", "value": 1e999"#), ("events[1].value", "range"));
    record(&with(r#", "kind": "view", "who": 1"#), ("events[1].who", "unknown field"));
    record(&[good.clone(), good.clone()], ("events[1].id", "same as events[0].id"));
    let too_many: Vec<_> =
        (0..1001).map(|n| event(&n.to_string(), r#", "kind": "view""#)).collect();
    record(&too_many, ("events", "1001 entries"));
}

#[test]
fn numbers_that_json_cannot_say_are_refused_too() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let event = v1::Event {
            id: "a".into(),
            item: "1".into(),
            kind: "rate".into(),
            value: Some(value),
            ..v1::Event::default()
        };
        let batch = v1::RecordEventsRequest { events: vec![event], receipt: None };
        assert_eq!(events(batch).unwrap_err().field.unwrap(), "events[0].value");
    }
    let with = |vector| item(v1::Item { item: "1".into(), vector, ..v1::Item::default() });
    assert_eq!(with(vec![0.5, f32::NAN]).unwrap_err().field.unwrap(), "vector[1]");
    assert_eq!(with(vec![f32::INFINITY]).unwrap_err().field.unwrap(), "vector[0]");
    assert_eq!(with(vec![0.0; 2049]).unwrap_err().field.unwrap(), "vector");
    assert!(with(vec![0.0; 2048]).is_ok());
}

#[test]
fn consent_and_interests_take_known_words_only() {
    let put = |body: &str, expected| check(|r| consent(&r), body, expected);
    put(r#"{"consent": "granted"}"#, OK);
    put(r#"{"sensitive": "yes", "toggle": "off"}"#, OK);
    put("{}", ("consent", "needed"));
    put(r#"{"consent": "maybe"}"#, ("consent", "allowed: none, granted"));
    put(r#"{"sensitive": "na"}"#, ("sensitive", "allowed: unset, yes, no"));
    put(r#"{"toggle": "ON"}"#, ("toggle", "allowed: unset, on, off"));
    let choose = |body: &str, expected| check(|r| interests(&r), body, expected);
    choose(r#"{"categories": ["Drama"]}"#, OK);
    choose(r#"{"creators": [""]}"#, ("creators[0]", "empty"));
}

#[test]
fn an_item_line_says_what_is_wrong_with_it() {
    let line = |text: &str, expected| {
        let found = item_line(text.as_bytes());
        let field = found.err().map_or("ok".to_owned(), |f| f.field.unwrap_or("-".to_owned()));
        assert_eq!(field, expected, "{}", text.chars().take(80).collect::<String>());
    };
    line(r#"{"item": "318", "title": "x", "origin": "US", "barred_in": ["CN"]}"#, "ok");
    line(r#"{"title": "x"}"#, "item");
    line(r#"{"item": "1", "vector": [1.0, "a"]}"#, "vector[1]");
    line(r#"{"item": "1", "min_age": 99}"#, "min_age");
    line(r#"{"item": "1", "barred_in": ["C N"]}"#, "barred_in[0]");
    line(r#"{"item": "1", "published_at": "1994"}"#, "published_at");
    line(r#"{"item": "1", "editorial_rank": 0}"#, "editorial_rank");
    line(r#"{"item": "1", "attributes": {"a": "\u0000"}}"#, "attributes.a");
    line("not json", "-");
    line(&format!(r#"{{"item": "1", "title": "{}"}}"#, "x".repeat(70_000)), "item");
}
