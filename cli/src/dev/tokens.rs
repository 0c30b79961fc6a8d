//! Tokens of the development cluster.

use std::collections::BTreeSet;
use std::fs;

use bailiwick_core::ids::{Issuer, Jurisdiction, Subject};
use bailiwick_core::policy::AgeBand;
use bailiwick_net::token::{NewToken, Scope, TokenMinter};
use bailiwick_node::start::system_clock;

use super::args::TokenArgs;
use super::error::DevError;
use super::layout::Layout;

pub(super) const ISSUER: &str = "bailiwick-dev";
pub(super) const AUDIENCE: &str = "bailiwick";
/// The registered apps, one a kind of service.
pub(super) const CLIENTS: [(&str, &str); 3] =
    [("demo", "general"), ("demo-social", "social"), ("demo-vlop", "vlop")];

/// Seconds that a token lives.
const LIFE_S: u64 = 3600;

/// Makes tokens.
pub struct Tokens {
    minter: TokenMinter,
}

fn unmade(error: &impl std::fmt::Display) -> DevError {
    DevError::Token(error.to_string())
}

fn scopes(text: &str) -> Result<BTreeSet<Scope>, DevError> {
    text.split_whitespace().map(|word| word.parse::<Scope>().map_err(|e| unmade(&e))).collect()
}

impl Tokens {
    /// Opens the signing key, made if there is none, and publishes its public half.
    ///
    /// # Errors
    /// [`DevError`] when a file can't be used.
    pub fn open(layout: &Layout) -> Result<Self, DevError> {
        let key = layout.token_key();
        if let Some(dir) = key.parent() {
            fs::create_dir_all(dir).map_err(DevError::io("create", dir))?;
        }
        let issuer = Issuer::new(ISSUER).map_err(|e| unmade(&e))?;
        let minter = TokenMinter::open(&key, issuer, AUDIENCE)?;
        if !layout.jwks().exists() {
            minter.write_jwks(&layout.jwks())?;
        }
        Ok(Self { minter })
    }

    fn sign(&self, token: &NewToken) -> Result<String, DevError> {
        self.minter.mint(token, system_clock()).map_err(|error| unmade(&error))
    }

    /// The token that the command line asks for.
    ///
    /// # Errors
    /// [`DevError::Token`] for an unknown scope.
    pub fn mint(&self, args: &TokenArgs) -> Result<String, DevError> {
        self.sign(&NewToken {
            subject: args.sub.clone(),
            home: args.home.clone(),
            azp: args.client.clone(),
            age_band: args.age,
            scopes: scopes(&args.scope)?,
            child: args.child.clone(),
            life_s: args.life,
        })
    }

    /// A person's token for everything that is theirs.
    ///
    /// # Errors
    /// [`DevError::Token`].
    pub fn person(
        &self,
        subject: &Subject,
        home: &Jurisdiction,
        age_band: AgeBand,
    ) -> Result<String, DevError> {
        self.sign(&NewToken {
            subject: subject.clone(),
            home: home.clone(),
            azp: "demo".into(),
            age_band,
            scopes: scopes("recommend events person")?,
            child: None,
            life_s: LIFE_S,
        })
    }

    /// The token of a guardian of `child`.
    ///
    /// # Errors
    /// [`DevError::Token`].
    pub fn guardian(&self, child: &Subject, home: &Jurisdiction) -> Result<String, DevError> {
        let guardian = format!("guardian-of-{}", child.as_str());
        self.sign(&NewToken {
            subject: Subject::new(guardian).map_err(|e| unmade(&e))?,
            home: home.clone(),
            azp: "demo".into(),
            age_band: AgeBand::Adult,
            scopes: scopes("guardian")?,
            child: Some(child.clone()),
            life_s: LIFE_S,
        })
    }

    /// The operator's token.
    ///
    /// # Errors
    /// [`DevError::Token`].
    pub fn operator(&self, home: &Jurisdiction) -> Result<String, DevError> {
        self.sign(&NewToken {
            subject: Subject::new("operator").map_err(|e| unmade(&e))?,
            home: home.clone(),
            azp: "demo".into(),
            age_band: AgeBand::Adult,
            scopes: scopes("items:write policy:read cluster:admin recommend")?,
            child: None,
            life_s: LIFE_S,
        })
    }
}
