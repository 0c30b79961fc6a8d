//! What the edge knows of a request before its body is read.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{Jurisdiction, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::policy::{Gpc, HomeReach};
use bailiwick_core::routing::Route;
use bailiwick_net::token::Verified;
use bailiwick_proto::edge;
use bailiwick_proto::failure::Failure;
use http::{HeaderMap, HeaderName};
use rand::Rng as _;
use tokio::time::Instant;

use crate::config::{EdgeConfig, TIMEOUT_MAX};
use crate::operation::Operation;

const GPC: HeaderName = HeaderName::from_static("sec-gpc");
const JURISDICTION: HeaderName = HeaderName::from_static("x-client-jurisdiction");
const TIMEOUT_MS: HeaderName = HeaderName::from_static("x-request-timeout-ms");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A request that was let in: who asks, from where, for how long, and where it goes.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) operation: Operation,
    pub(crate) token: Option<Arc<str>>,
    pub(crate) verified: Option<Arc<Verified>>,
    pub(crate) location: Jurisdiction,
    pub(crate) gpc: Gpc,
    pub(crate) request_id: Arc<str>,
    pub(crate) began: Instant,
    /// The time of day when it came.
    pub(crate) asked: UnixMillis,
    pub(crate) patience: Duration,
    pub(crate) route: Route,
    pub(crate) home_edge: Option<String>,
}

impl Visit {
    /// What a node is told.
    pub(crate) fn caller(&self, home: HomeReach) -> edge::Caller {
        edge::Caller {
            token: self.token.as_deref().map(str::to_owned),
            location: self.location.to_string(),
            gpc: self.gpc == Gpc::Sent,
            home_unreachable: home == HomeReach::Unreachable,
            request_id: self.request_id.to_string(),
            asked_ms: self.asked.0,
        }
    }
}

/// A name for one request that says nothing about who asks.
pub(crate) fn request_id() -> Arc<str> {
    format!("{:016x}", rand::rng().random::<u64>()).into()
}

/// The bearer token, if there is one.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let refused = |words| Failure::new(Kind::Unauthenticated, words);
    let mut found = headers.get_all(http::header::AUTHORIZATION).iter();
    let Some(first) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(refused("the header authorization came twice"));
    }
    let text = first.to_str().map_err(|_| refused("the header authorization is not text"))?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("the header authorization must be `Bearer <token>`"));
    }
    Ok(Some(token.trim()))
}

/// Whether the global privacy control was sent.
pub(crate) fn gpc(headers: &HeaderMap) -> Gpc {
    let sent = headers.get_all(GPC).iter().any(|value| value.as_bytes().trim_ascii() == b"1");
    if sent { Gpc::Sent } else { Gpc::Absent }
}

/// Where the request is made: a trusted proxy's word, else the router's own place.
pub(crate) fn location(
    config: &EdgeConfig,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Result<Jurisdiction, Failure> {
    match headers.get(JURISDICTION).filter(|_| config.trusts(peer)) {
        None => Ok(config.location.clone()),
        Some(value) => {
            let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
            parsed.ok_or_else(|| {
                let words = "x-client-jurisdiction is not a jurisdiction such as EU-DE";
                Failure::invalid("x-client-jurisdiction", words)
            })
        }
    }
}

/// How long the caller waits, as it says.
pub(crate) fn patience(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let said = |name: &HeaderName, read: fn(&str) -> Option<Duration>| {
        let Some(value) = headers.get(name) else { return Ok(None) };
        let read = value.to_str().ok().and_then(read).filter(|time| !time.is_zero());
        read.map(|time| Some(time.min(TIMEOUT_MAX))).ok_or_else(|| {
            Failure::invalid(name.as_str(), format!("{name} is not a time above zero"))
        })
    };
    match said(&GRPC_TIMEOUT, grpc_timeout)? {
        Some(time) => Ok(Some(time)),
        None => said(&TIMEOUT_MS, |text| text.parse().ok().map(Duration::from_millis)),
    }
}

/// At most eight digits and a unit: `1500m` is 1.5 s.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| plain)?;
    Some(match unit {
        "H" => Duration::from_secs(count.checked_mul(3600)?),
        "M" => Duration::from_secs(count.checked_mul(60)?),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn a_timeout_is_read_from_either_header_and_bounded() {
        let check = |name: &str, value: &str, expected: Option<u64>| {
            let found = patience(&headers(&[(name, value)]));
            let found = found.ok().flatten().map(|time| time.as_micros());
            assert_eq!(found, expected.map(u128::from), "{name}: {value}");
        };
        check("grpc-timeout", "250m", Some(250_000));
        check("grpc-timeout", "2S", Some(2_000_000));
        check("grpc-timeout", "99999999H", Some(60_000_000));
        check("grpc-timeout", "500u", Some(500));
        check("x-request-timeout-ms", "40", Some(40_000));
        for bad in ["", "m", "1", "1x", "-1m", "123456789m", "0m", "é"] {
            check("grpc-timeout", bad, None);
        }
        check("x-request-timeout-ms", "0", None);
        check("x-request-timeout-ms", "soon", None);
        assert!(patience(&headers(&[("x-request-timeout-ms", "soon")])).is_err());
        assert_eq!(patience(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn only_one_bearer_token_is_taken() {
        let check = |pairs: &[(&str, &str)], expected: Result<Option<&str>, ()>| {
            let headers = headers(pairs);
            assert_eq!(bearer(&headers).map_err(|_| ()), expected, "{pairs:?}");
        };
        check(&[], Ok(None));
        check(&[("authorization", "Bearer abc")], Ok(Some("abc")));
        check(&[("authorization", "bearer abc")], Ok(Some("abc")));
        check(&[("authorization", "Bearer")], Ok(Some("")));
        check(&[("authorization", "Basic abc")], Err(()));
        check(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], Err(()));
    }

    #[test]
    fn the_privacy_control_is_one_or_absent() {
        assert_eq!(gpc(&headers(&[("sec-gpc", "1")])), Gpc::Sent);
        assert_eq!(gpc(&headers(&[("sec-gpc", "0")])), Gpc::Absent);
        assert_eq!(gpc(&HeaderMap::new()), Gpc::Absent);
    }
}
