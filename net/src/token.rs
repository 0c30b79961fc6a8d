//! Bearer tokens, verified in the same way in router and node: neither takes the other's word.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_core::ids::{Issuer, Jurisdiction, Subject, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::limits;
use bailiwick_core::policy::{AgeBand, Service};
use bailiwick_proto::failure::Failure;
use jsonwebtoken::{Validation, decode, decode_header};

mod claims;
mod keys;
mod mint;
mod scope;
mod seen;

pub use keys::TokenSetupError;
pub use mint::{NewToken, TokenMinter};
pub use scope::Scope;

/// Clocks of issuer and verifier may differ by this much, in seconds.
pub const TOKEN_LEEWAY_S: u64 = 5;
/// Bytes of a token.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Whose tokens are taken, for whom, and from which apps.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// The JWKS file with the issuers' public keys; read again when it changes.
    pub jwks: PathBuf,
    /// Issuers (`iss`) that are believed.
    pub issuers: BTreeSet<Issuer>,
    /// The audience (`aud`) that a token must name.
    pub audience: String,
    /// Registered client apps (`azp`) and the kind of service each is.
    pub clients: BTreeMap<String, Service>,
}

/// What a verified token says. Nothing of it shows in `Debug` but the scopes.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who vouches for the person.
    pub issuer: Issuer,
    /// Who holds the token.
    pub subject: Subject,
    /// The jurisdiction that is the person's home; well-formed, not necessarily known.
    pub home: Jurisdiction,
    /// The client app.
    pub app: App,
    /// The person's age band.
    pub age_band: AgeBand,
    /// What the token allows.
    pub scopes: BTreeSet<Scope>,
    /// With [`Scope::Guardian`]: the child that the holder speaks for.
    pub child: Option<Subject>,
    /// When the token ends.
    pub expires: UnixMillis,
}

/// A registered client app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The claim `azp`.
    pub azp: String,
    /// The kind of service it is registered as.
    pub service: Service,
}

impl Verified {
    /// The person that the request is about: the child, where a guardian speaks for one.
    #[must_use]
    pub fn person(&self) -> &Subject {
        self.child.as_ref().unwrap_or(&self.subject)
    }

    /// That the token allows `scope`.
    ///
    /// # Errors
    /// A refused [`Failure`] that names the scope.
    pub fn allows(&self, scope: Scope) -> Result<(), Failure> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(Failure::new(Kind::Refused, format!("the token lacks the scope `{scope}`")))
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// Why a token is not believed. No part of the token stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Larger than [`TOKEN_BYTES_MAX`].
    #[error("the token has {bytes} bytes, at most {TOKEN_BYTES_MAX} are allowed")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
    },
    /// Not a signed token, or signed in a way that is not taken.
    #[error("the token is not a JWT signed with EdDSA or ES256")]
    Form,
    /// The header names no key.
    #[error("the token's header names no key (kid)")]
    NoKey,
    /// The named key is not in the key set.
    #[error("the token's key (kid) is not in the key set")]
    UnknownKey,
    /// The signature is not the named key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim that must be there is not.
    #[error("the token lacks the claim `{claim}`")]
    Missing {
        /// The claim.
        claim: &'static str,
    },
    /// A claim can't be read.
    #[error("the token's claim `{claim}` is malformed: {problem}")]
    Malformed {
        /// The claim.
        claim: &'static str,
        /// What is due; not what was found.
        problem: &'static str,
    },
    /// From an issuer that is not believed.
    #[error("the token's issuer (iss) is not trusted here")]
    Issuer,
    /// For someone else.
    #[error("the token is for another audience (aud)")]
    Audience,
    /// From an app that is not registered.
    #[error("the token's client (azp) is not registered")]
    Client,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    Early,
    /// It would live longer than allowed.
    #[error("the token lives longer than {} s", limits::TOKEN_LIFE_S_MAX)]
    LongLived,
}

impl TokenRefusal {
    /// Always [`Kind::Unauthenticated`].
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Unauthenticated
    }
}

impl From<TokenRefusal> for Failure {
    fn from(refusal: TokenRefusal) -> Self {
        Self::new(refusal.kind(), refusal.to_string())
    }
}

/// Verifies tokens against a key set on disk.
#[derive(Debug)]
pub struct TokenVerifier {
    issuers: BTreeSet<Issuer>,
    audience: String,
    clients: BTreeMap<String, Service>,
    keys: keys::KeyFile,
    seen: seen::Seen,
}

impl TokenVerifier {
    /// Reads the key set.
    ///
    /// # Errors
    /// [`TokenSetupError`] when the file can't be read or holds no key that can be used.
    pub fn open(settings: TokenSettings) -> Result<Self, TokenSetupError> {
        let keys = keys::KeyFile::open(settings.jwks)?;
        let TokenSettings { issuers, audience, clients, .. } = settings;
        Ok(Self { issuers, audience, clients, keys, seen: seen::Seen::default() })
    }

    /// Verifies a token as of `now`.
    ///
    /// # Errors
    /// [`TokenRefusal`]: it is not believed, and why.
    pub fn verify(&self, token: &str, now: UnixMillis) -> Result<Verified, TokenRefusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefusal::TooLarge { bytes: token.len() });
        }
        if let Some(claims) = self.seen.claims(token, |kid| self.keys.find(kid, now)) {
            return self.check(&claims, now);
        }
        let header = decode_header(token).map_err(|_| TokenRefusal::Form)?;
        let kid = header.kid.ok_or(TokenRefusal::NoKey)?;
        let key = self.keys.find(&kid, now).ok_or(TokenRefusal::UnknownKey)?;
        if header.alg != key.algorithm {
            return Err(TokenRefusal::Form);
        }
        let mut signature_only = Validation::new(key.algorithm);
        // The claims are checked below, against the time that the caller gives.
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        let found = decode(token, &key.key, &signature_only).map_err(|error| refusal(&error))?;
        let claims = Arc::new(claims::Claims::new(found.claims));
        let checked = self.check(&claims, now);
        self.seen.keep(token, kid, key, claims);
        checked
    }

    /// The rest of [`Self::verify`], once the signature holds.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn check_claims(
        &self,
        claims: serde_json::Map<String, serde_json::Value>,
        now: UnixMillis,
    ) -> Result<Verified, TokenRefusal> {
        self.check(&claims::Claims::new(claims), now)
    }
}

fn refusal(error: &jsonwebtoken::errors::Error) -> TokenRefusal {
    match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenRefusal::Signature,
        _ => TokenRefusal::Form,
    }
}

#[cfg(test)]
mod tests;
