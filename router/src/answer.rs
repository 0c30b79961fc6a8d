//! Answers over HTTP: JSON without absent fields, failures in one shape, redirects.

use axum::body::Body;
use bailiwick_core::kind::Kind;
use bailiwick_proto::failure::Failure;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

/// Why a request over HTTP got no answer.
#[derive(Debug)]
pub(crate) struct HttpFailure {
    status: StatusCode,
    failure: Failure,
}

impl From<Failure> for HttpFailure {
    fn from(failure: Failure) -> Self {
        let code = failure.kind.http_status();
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, failure }
    }
}

impl HttpFailure {
    /// The body is larger than allowed.
    pub(crate) fn too_large(max: usize) -> Self {
        let words = format!("the body is larger than {max} bytes");
        Self::with(StatusCode::PAYLOAD_TOO_LARGE, Failure::new(Kind::Invalid, words))
    }

    /// The body did not come in time.
    pub(crate) fn too_slow() -> Self {
        let words = "the body did not come in time";
        Self::with(StatusCode::REQUEST_TIMEOUT, Failure::new(Kind::Invalid, words))
    }

    /// The path exists, the method does not.
    pub(crate) fn method() -> Self {
        let words = "this path does not take this method";
        Self::with(StatusCode::METHOD_NOT_ALLOWED, Failure::new(Kind::Invalid, words))
    }

    fn with(status: StatusCode, failure: Failure) -> Self {
        Self { status, failure }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.failure.kind
    }

    /// The answer.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = json(self.status, &self.failure.to_body());
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(delay) = self.failure.retry_after {
            // Whole seconds, rounded up; the body has the milliseconds.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// An answer with a JSON body. Of errors every field is there, of messages those that are present.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let (status, text) = match serde_json::to_vec(body) {
        Ok(text) => (status, text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The answer for a message: fields that are absent are left out.
pub(crate) fn message(found: &impl Serialize) -> Result<Response<Body>, HttpFailure> {
    let value = serde_json::to_value(found)
        .map_err(|_| Failure::new(Kind::Broken, "the answer can't be written as JSON"))?;
    Ok(json(StatusCode::OK, &present(value)))
}

fn present(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let there = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(there.map(|(name, value)| (name, present(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(present).collect()),
        plain => plain,
    }
}

/// Sends the client to another edge with the same path; the method and body stay.
pub(crate) fn redirect(edge: &str, path: &str) -> Response<Body> {
    let to = format!("{}{path}", edge.trim_end_matches('/'));
    let mut response =
        json(StatusCode::TEMPORARY_REDIRECT, &serde_json::json!({ "home_edge": edge }));
    match HeaderValue::from_str(&to) {
        Ok(location) => drop(response.headers_mut().insert(LOCATION, location)),
        Err(_) => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
    }
    response
}

#[cfg(test)]
mod tests {
    use bailiwick_proto::v1;

    use super::*;

    #[test]
    fn absent_fields_are_left_out_at_every_depth() {
        let why = v1::Why { signal: "agg".into(), text: "popular".into(), from: None };
        let item = v1::RankedItem { why: vec![why], ..v1::RankedItem::default() };
        let answer = v1::RecommendResponse { items: vec![item], ..Default::default() };
        let shown = present(serde_json::to_value(answer).unwrap());
        assert!(shown.get("receipt").is_none() && shown.get("decision").is_none());
        assert_eq!(
            shown["items"][0]["why"][0],
            serde_json::json!({"signal": "agg", "text": "popular"})
        );
        assert_eq!(shown["took_ms"], 0.0);
    }
}
