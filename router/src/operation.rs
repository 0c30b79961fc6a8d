//! What can be asked: one table for HTTP routes, gRPC methods, scopes and the OpenAPI document.

use std::time::Duration;

use bailiwick_net::token::Scope;
use http::Method;

/// One operation of the public interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A ranked list.
    Recommend,
    /// Recording events.
    RecordEvents,
    /// Reading consent and switches.
    GetConsent,
    /// Changing them.
    PutConsent,
    /// Reading explicit choices.
    GetInterests,
    /// Replacing them.
    PutInterests,
    /// Everything kept of the person.
    Export,
    /// Erasing all of it.
    Erase,
    /// What became of an erasure.
    GetErasure,
    /// Uploading items.
    PutItems,
    /// Reading one item.
    GetItem,
    /// Deleting one item.
    DeleteItem,
    /// The packs.
    ListPolicies,
    /// One pack.
    GetPolicy,
    /// The cluster's state.
    ClusterStatus,
    /// Beginning a run of learning.
    StartLearning,
    /// How learning is, and which model is served.
    LearningStatus,
    /// Serving the model before again.
    RollBackModel,
    /// The floor that latencies are measured against.
    Echo,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone; a token that is sent needs the scope.
    Open(Scope),
    /// Any token.
    Token,
    /// A token with one of the scopes.
    Scoped(&'static [Scope]),
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// No body.
    Nothing,
    /// One message.
    Message,
    /// One item a line.
    Lines,
}

/// What it means for where it may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A ranked list.
    List,
    /// Events of a person.
    Events,
    /// A person's own controls.
    Controls,
    /// Nothing personal.
    Shared,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 19] = [
        Self::Recommend,
        Self::RecordEvents,
        Self::GetConsent,
        Self::PutConsent,
        Self::GetInterests,
        Self::PutInterests,
        Self::Export,
        Self::Erase,
        Self::GetErasure,
        Self::PutItems,
        Self::GetItem,
        Self::DeleteItem,
        Self::ListPolicies,
        Self::GetPolicy,
        Self::ClusterStatus,
        Self::StartLearning,
        Self::LearningStatus,
        Self::RollBackModel,
        Self::Echo,
    ];

    /// The method, the path's pattern, the gRPC path and the name in spans and metrics.
    const fn row(self) -> (Method, &'static str, &'static str, &'static str) {
        use Method as M;
        match self {
            Self::Recommend => {
                (M::POST, "/v1/recommendations", "Recommendations/Recommend", "recommend")
            }
            Self::RecordEvents => (M::POST, "/v1/events", "Events/Record", "record_events"),
            Self::GetConsent => (M::GET, "/v1/me/consent", "Person/GetConsent", "get_consent"),
            Self::PutConsent => (M::PUT, "/v1/me/consent", "Person/PutConsent", "put_consent"),
            Self::GetInterests => {
                (M::GET, "/v1/me/interests", "Person/GetInterests", "get_interests")
            }
            Self::PutInterests => {
                (M::PUT, "/v1/me/interests", "Person/PutInterests", "put_interests")
            }
            Self::Export => (M::GET, "/v1/me/export", "Person/Export", "export"),
            Self::Erase => (M::DELETE, "/v1/me", "Person/Erase", "erase"),
            Self::GetErasure => (M::GET, "/v1/erasures/{id}", "Person/GetErasure", "get_erasure"),
            Self::PutItems => (M::PUT, "/v1/items", "Items/Put", "put_items"),
            Self::GetItem => (M::GET, "/v1/items/{item}", "Items/Get", "get_item"),
            Self::DeleteItem => (M::DELETE, "/v1/items/{item}", "Items/Delete", "delete_item"),
            Self::ListPolicies => (M::GET, "/v1/policies", "Policies/List", "list_policies"),
            Self::GetPolicy => (M::GET, "/v1/policies/{pack}", "Policies/Get", "get_policy"),
            Self::ClusterStatus => (M::GET, "/v1/cluster", "Cluster/Status", "cluster_status"),
            Self::StartLearning => (M::POST, "/v1/learning", "Learning/Start", "start_learning"),
            Self::LearningStatus => (M::GET, "/v1/learning", "Learning/Status", "learning_status"),
            Self::RollBackModel => {
                (M::POST, "/v1/learning/rollback", "Learning/RollBack", "roll_back_model")
            }
            Self::Echo => (M::POST, "/v1/probe", "Probe/Echo", "echo"),
        }
    }

    /// The HTTP method.
    #[must_use]
    pub fn method(self) -> Method {
        self.row().0
    }

    /// The path, with `{names}` for its variable parts.
    #[must_use]
    pub fn path(self) -> &'static str {
        self.row().1
    }

    /// The operation of a gRPC path, `/bailiwick.v1.Events/Record`.
    #[must_use]
    pub fn of_rpc(path: &str) -> Option<Self> {
        let rpc = path.strip_prefix("/bailiwick.v1.")?;
        Self::ALL.into_iter().find(|operation| operation.row().2 == rpc)
    }

    /// The name in spans and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().3
    }

    pub(crate) fn access(self) -> Access {
        match self {
            Self::Recommend => Access::Open(Scope::Recommend),
            Self::RecordEvents => Access::Scoped(&[Scope::Events]),
            Self::GetConsent
            | Self::PutConsent
            | Self::GetInterests
            | Self::PutInterests
            | Self::Export
            | Self::Erase
            | Self::GetErasure => Access::Scoped(&[Scope::Person, Scope::Guardian]),
            Self::PutItems | Self::DeleteItem => Access::Scoped(&[Scope::ItemsWrite]),
            Self::GetItem => Access::Token,
            Self::ListPolicies | Self::GetPolicy => Access::Scoped(&[Scope::PolicyRead]),
            Self::ClusterStatus
            | Self::StartLearning
            | Self::LearningStatus
            | Self::RollBackModel
            | Self::Echo => Access::Scoped(&[Scope::ClusterAdmin]),
        }
    }

    pub(crate) fn class(self) -> Class {
        match self {
            Self::Recommend => Class::List,
            Self::RecordEvents => Class::Events,
            Self::GetConsent
            | Self::PutConsent
            | Self::GetInterests
            | Self::PutInterests
            | Self::Export
            | Self::Erase
            | Self::GetErasure => Class::Controls,
            _ => Class::Shared,
        }
    }

    pub(crate) fn content(self) -> Content {
        match self {
            Self::PutItems => Content::Lines,
            Self::Recommend
            | Self::RecordEvents
            | Self::PutConsent
            | Self::PutInterests
            | Self::StartLearning
            | Self::RollBackModel
            | Self::Echo => Content::Message,
            _ => Content::Nothing,
        }
    }

    /// Whether it may be answered with a redirect to the person's home.
    pub(crate) fn leaves_home(self) -> bool {
        matches!(self.class(), Class::Events | Class::Controls)
    }

    /// Query parameters that it takes.
    pub(crate) fn query(self) -> &'static [&'static str] {
        match self {
            Self::GetConsent | Self::GetInterests => &["revision"],
            Self::GetPolicy => &["version"],
            _ => &[],
        }
    }

    /// How long it may take where the caller does not say, given the router's own default.
    pub(crate) fn patience(self, default: Duration) -> Duration {
        match self {
            // All members are asked how far they are.
            Self::GetErasure => default.max(Duration::from_secs(5)),
            // So much may go at once.
            Self::Erase => default.max(Duration::from_secs(10)),
            Self::PutItems | Self::Export => default.max(Duration::from_secs(30)),
            // The leader of the control group may be far away, and all nodes are asked what they serve.
            Self::StartLearning | Self::LearningStatus | Self::RollBackModel => {
                default.max(Duration::from_secs(10))
            }
            _ => default,
        }
    }
}
