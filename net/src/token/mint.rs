//! Tokens for a development cluster and for tests: an issuer of one Ed25519 key.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;
use std::path::Path;

use bailiwick_core::ids::{Issuer, Jurisdiction, Subject, UnixMillis};
use bailiwick_core::policy::AgeBand;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde_json::json;

use super::{Scope, TokenSetupError};
use crate::secret;

/// What a new token is to say.
#[derive(Clone)]
pub struct NewToken {
    /// Who holds it.
    pub subject: Subject,
    /// The holder's home.
    pub home: Jurisdiction,
    /// The client app.
    pub azp: String,
    /// The age band.
    pub age_band: AgeBand,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// The child that a guardian speaks for.
    pub child: Option<Subject>,
    /// How long it lives, in seconds.
    pub life_s: u64,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// An issuer with one key.
pub struct TokenMinter {
    issuer: Issuer,
    audience: String,
    kid: String,
    public: Jwk,
    key: EncodingKey,
}

impl fmt::Debug for TokenMinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenMinter").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl TokenMinter {
    /// Takes the Ed25519 key (PKCS #8 in PEM) in `file`; makes one, readable by its owner alone, where
    /// there is none.
    ///
    /// # Errors
    /// [`TokenSetupError`] when the file can't be read or written, or is not such a key.
    pub fn open(file: &Path, issuer: Issuer, audience: &str) -> Result<Self, TokenSetupError> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(file)?,
            Err(error) => return Err(TokenSetupError::file(file, error)),
        };
        let bad = |problem: &dyn fmt::Display| TokenSetupError::content(file, problem);
        let pair = rcgen::KeyPair::from_pem(&text).map_err(|error| bad(&error))?;
        if pair.algorithm() != &rcgen::PKCS_ED25519 {
            return Err(bad(&"not an Ed25519 key"));
        }
        let mut public = Jwk::from_decoding_key(
            &DecodingKey::from_ed_der(pair.public_key_raw()),
            Some(Algorithm::EdDSA),
        )
        .map_err(|error| bad(&error))?;
        let kid = public.thumbprint(ThumbprintHash::SHA256).map_err(|error| bad(&error))?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let key = EncodingKey::from_ed_der(pair.serialized_der());
        Ok(Self { issuer, audience: audience.to_owned(), kid, public, key })
    }

    /// Writes the public half as a JWKS file, in one step.
    ///
    /// # Errors
    /// [`TokenSetupError`] when it can't be written.
    pub fn write_jwks(&self, file: &Path) -> Result<(), TokenSetupError> {
        let set = JwkSet { keys: vec![self.public.clone()] };
        let text = serde_json::to_string_pretty(&set)
            .map_err(|error| TokenSetupError::content(file, error))?;
        secret::replace_public(file, text.as_bytes())
            .map_err(|error| TokenSetupError::content(file, error))
    }

    /// A signed token that begins `now`.
    ///
    /// # Errors
    /// [`jsonwebtoken::errors::Error`] when it can't be signed.
    pub fn mint(
        &self,
        token: &NewToken,
        now: UnixMillis,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let seconds = u64::try_from(now.0 / 1000).unwrap_or_default();
        let scope = token.scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" ");
        let mut claims = json!({
            "iss": self.issuer, "aud": self.audience, "iat": seconds,
            "exp": seconds.saturating_add(token.life_s), "sub": token.subject,
            "home": token.home, "azp": token.azp, "age_band": token.age_band, "scope": scope,
        });
        if let (Some(child), Some(map)) = (&token.child, claims.as_object_mut()) {
            map.insert("child".to_owned(), json!(child));
        }
        self.sign(&claims)
    }

    fn sign(&self, claims: &serde_json::Value) -> Result<String, jsonwebtoken::errors::Error> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.key)
    }

    #[cfg(test)]
    pub(super) fn sign_raw(&self, claims: &serde_json::Value) -> String {
        self.sign(claims).unwrap()
    }

    #[cfg(test)]
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }
}

fn create(file: &Path) -> Result<String, TokenSetupError> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)
        .map_err(|error| TokenSetupError::content(file, error))?;
    let text = pair.serialize_pem();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(file)
        .and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()))
        .map_err(|error| TokenSetupError::file(file, error))?;
    Ok(text)
}
