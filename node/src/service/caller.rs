//! Who is asking, from where.

use bailiwick_core::ids::{Issuer, Jurisdiction, Subject, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::policy::{AgeBand, Gpc, Service};
use bailiwick_net::token::{Scope, Verified};
use bailiwick_proto::edge;
use bailiwick_proto::failure::Failure;

use super::State;
use crate::seal::{PersonDigest, TENANT};

/// A caller whose token, if there is one, has been verified here.
pub(super) struct Caller {
    /// None: anonymous.
    pub(super) verified: Option<Verified>,
    /// The token itself, to be shown to the person's home.
    pub(super) token: Option<String>,
    /// Where the request was made, by the router's word: it can only make the answer stricter or
    /// move it, since the home's law applies as well.
    pub(super) location: Jurisdiction,
    /// The global privacy control.
    pub(super) gpc: Gpc,
    /// The router could not reach the person's home.
    pub(super) home_unreachable: bool,
    /// When the request came to the router, by its clock; 0 where it does not say.
    pub(super) asked: UnixMillis,
}

impl Caller {
    /// The home jurisdiction; an anonymous person's is where they are.
    pub(super) fn home(&self) -> &Jurisdiction {
        self.verified.as_ref().map_or(&self.location, |verified| &verified.home)
    }

    pub(super) fn age_band(&self) -> AgeBand {
        self.verified.as_ref().map_or(AgeBand::Unknown, |verified| verified.age_band)
    }

    /// The person, if there is a token.
    pub(super) fn person(&self) -> Option<(&Issuer, &Subject)> {
        self.verified.as_ref().map(|verified| (&verified.issuer, verified.person()))
    }

    /// Whose receipt the caller may show, and for which app it must have been made.
    pub(super) fn holder(&self) -> Option<(PersonDigest, &str)> {
        let verified = self.verified.as_ref()?;
        let digest = PersonDigest::of(TENANT, &verified.issuer, verified.person());
        Some((digest, &verified.app.azp))
    }

    /// The kind of service that is asking.
    pub(super) fn service(&self, anonymous: Service) -> Service {
        self.verified.as_ref().map_or(anonymous, |verified| verified.app.service)
    }

    /// The token, which must be there and allow `scope`.
    pub(super) fn allowed(&self, scope: Scope) -> Result<&Verified, Failure> {
        let missing = || Failure::new(Kind::Unauthenticated, "a bearer token is needed");
        let verified = self.verified.as_ref().ok_or_else(missing)?;
        verified.allows(scope)?;
        Ok(verified)
    }
}

impl State {
    /// Verifies what the router passed on.
    pub(super) fn caller(&self, caller: Option<edge::Caller>) -> Result<Caller, Failure> {
        let caller = caller.ok_or_else(|| Failure::invalid("caller", "caller is missing"))?;
        let location = Jurisdiction::new(caller.location)
            .map_err(|error| Failure::invalid("caller.location", error.to_string()))?;
        let verified =
            caller.token.as_deref().map(|token| self.verifier.verify(token, (self.clock)()));
        Ok(Caller {
            verified: verified.transpose()?,
            token: caller.token,
            location,
            gpc: if caller.gpc { Gpc::Sent } else { Gpc::Absent },
            home_unreachable: caller.home_unreachable,
            asked: UnixMillis(caller.asked_ms),
        })
    }
}
