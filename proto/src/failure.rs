//! One failure, mapped once to gRPC and HTTP.

use std::time::Duration;

use bailiwick_core::kind::Kind;
use serde::Serialize;

/// A failure that reaches a caller: its kind, words for people, and the field to mend.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Failure {
    /// What the caller may conclude.
    pub kind: Kind,
    /// What happened and how to mend it; carries no personal value.
    pub message: String,
    /// The request's field at fault.
    pub field: Option<String>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of `kind`.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), field: None, retry_after: None }
    }

    /// A request that names `field` wrongly.
    #[must_use]
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(Kind::Invalid, message) }
    }

    /// The same, to be tried again after `delay`.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    /// The JSON body of the answer.
    #[must_use]
    pub fn to_body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                kind: self.kind.as_str(),
                message: self.message.clone(),
                field: self.field.clone(),
                retry_after_ms: self.retry_after.map(millis),
            },
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `{"error": {...}}`
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ErrorBody {
    /// The failure.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ErrorDetail {
    /// One of the nine kinds.
    pub kind: &'static str,
    /// For people.
    pub message: String,
    /// The request's field at fault.
    pub field: Option<String>,
    /// When to try again.
    pub retry_after_ms: Option<u64>,
}

const KIND: &str = "bailiwick-kind";
const FIELD: &str = "bailiwick-field";
const RETRY_AFTER_MS: &str = "bailiwick-retry-after-ms";

fn code(kind: Kind) -> tonic::Code {
    match kind {
        Kind::Invalid => tonic::Code::InvalidArgument,
        Kind::Unauthenticated => tonic::Code::Unauthenticated,
        Kind::Refused => tonic::Code::PermissionDenied,
        Kind::NotFound => tonic::Code::NotFound,
        Kind::Stale => tonic::Code::FailedPrecondition,
        Kind::Overloaded => tonic::Code::ResourceExhausted,
        Kind::Unavailable => tonic::Code::Unavailable,
        Kind::Uncertain => tonic::Code::DeadlineExceeded,
        Kind::Broken => tonic::Code::Internal,
    }
}

fn kind(code: tonic::Code) -> Kind {
    match code {
        tonic::Code::InvalidArgument | tonic::Code::OutOfRange | tonic::Code::Unimplemented => {
            Kind::Invalid
        }
        tonic::Code::Unauthenticated => Kind::Unauthenticated,
        tonic::Code::PermissionDenied => Kind::Refused,
        tonic::Code::NotFound => Kind::NotFound,
        tonic::Code::FailedPrecondition | tonic::Code::Aborted | tonic::Code::AlreadyExists => {
            Kind::Stale
        }
        tonic::Code::ResourceExhausted => Kind::Overloaded,
        tonic::Code::Unavailable => Kind::Unavailable,
        tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => Kind::Uncertain,
        _ => Kind::Broken,
    }
}

impl From<Failure> for tonic::Status {
    fn from(failure: Failure) -> Self {
        let mut status = Self::new(code(failure.kind), failure.message);
        let metadata = status.metadata_mut();
        metadata.insert(KIND, tonic::metadata::MetadataValue::from_static(failure.kind.as_str()));
        // A field path is ASCII; one that is not is left out rather than the whole answer.
        if let Some(value) = failure.field.and_then(|field| field.parse().ok()) {
            metadata.insert(FIELD, value);
        }
        if let Some(delay) = failure.retry_after {
            metadata.insert(RETRY_AFTER_MS, millis(delay).into());
        }
        status
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let text = |key| status.metadata().get(key).and_then(|value| value.to_str().ok());
        let named = text(KIND).and_then(|name| Kind::ALL.into_iter().find(|k| k.as_str() == name));
        Self {
            kind: named.unwrap_or_else(|| kind(status.code())),
            message: status.message().to_owned(),
            field: text(FIELD).map(str::to_owned),
            retry_after: text(RETRY_AFTER_MS)
                .and_then(|ms| ms.parse().ok())
                .map(Duration::from_millis),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_trip_through_grpc() {
        for kind in Kind::ALL {
            let sent = Failure { field: Some("events[3].item".into()), ..Failure::new(kind, "no") }
                .retry_after(Duration::from_millis(250));
            assert_eq!(Failure::from(tonic::Status::from(sent.clone())), sent);
        }
    }
}
