//! The claims of a token whose signature is right.

use std::collections::BTreeSet;
use std::str::FromStr;

use bailiwick_core::ids::{Issuer, UnixMillis};
use bailiwick_core::limits::TOKEN_LIFE_S_MAX;
use bailiwick_core::policy::AgeBand;
use serde_json::{Map, Value};

use super::{App, Scope, TOKEN_LEEWAY_S, TokenRefusal, TokenVerifier, Verified};

type Checked<T> = Result<T, TokenRefusal>;

/// The claims as they came.
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn new(found: Map<String, Value>) -> Self {
        Self(found)
    }

    fn text(&self, claim: &'static str) -> Checked<Option<&str>> {
        match self.0.get(claim) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(TokenRefusal::Malformed { claim, problem: "a text is due" }),
        }
    }

    fn parsed<T: FromStr>(&self, claim: &'static str, problem: &'static str) -> Checked<Option<T>> {
        let parse =
            |text: &str| text.parse().map_err(|_| TokenRefusal::Malformed { claim, problem });
        self.text(claim)?.map(parse).transpose()
    }

    /// A moment, in whole seconds since 1970.
    fn seconds(&self, claim: &'static str) -> Checked<Option<u64>> {
        let problem = "seconds since 1970 are due";
        match self.0.get(claim) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let seconds = value.as_u64().or_else(|| whole(value.as_f64()?));
                seconds.map(Some).ok_or(TokenRefusal::Malformed { claim, problem })
            }
        }
    }

    fn audience_is(&self, wanted: &str) -> Checked<()> {
        let named = match self.0.get("aud") {
            None | Some(Value::Null) => return Err(TokenRefusal::Missing { claim: "aud" }),
            Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(wanted)),
            Some(one) => one.as_str() == Some(wanted),
        };
        if named { Ok(()) } else { Err(TokenRefusal::Audience) }
    }

    /// Unknown scopes are other systems' and say nothing here.
    fn scopes(&self) -> Checked<BTreeSet<Scope>> {
        let list = self.text("scope")?.unwrap_or_default();
        Ok(list.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect())
    }
}

/// Some issuers write times with a fraction.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range by the check before
fn whole(seconds: f64) -> Option<u64> {
    let in_range = (0.0..1e15).contains(&seconds);
    in_range.then_some(seconds as u64)
}

fn due<T>(claim: &'static str, found: Option<T>) -> Checked<T> {
    found.ok_or(TokenRefusal::Missing { claim })
}

impl TokenVerifier {
    pub(super) fn check(&self, claims: &Claims, now: UnixMillis) -> Checked<Verified> {
        let issuer: Issuer = due("iss", claims.parsed("iss", "1 to 256 bytes are due")?)?;
        if !self.issuers.contains(&issuer) {
            return Err(TokenRefusal::Issuer);
        }
        claims.audience_is(&self.audience)?;
        let expires = life(claims, now)?;
        let scopes = claims.scopes()?;
        let text = "1 to 128 bytes without control characters are due";
        let verified = Verified {
            issuer,
            subject: due("sub", claims.parsed("sub", text)?)?,
            home: due("home", claims.parsed("home", "a jurisdiction such as EU-DE is due")?)?,
            app: self.app(claims)?,
            age_band: claims
                .parsed("age_band", "0-11, 12, 13, 14, 15, 16-17, 18+ or unknown is due")?
                .unwrap_or(AgeBand::Unknown),
            scopes,
            child: claims.parsed("child", text)?,
            expires,
        };
        // Whoever names a child speaks for it, so that a child's own token can't do without the scope.
        if verified.child.is_some() && !verified.scopes.contains(&Scope::Guardian) {
            let problem = "it needs the scope `guardian`";
            return Err(TokenRefusal::Malformed { claim: "child", problem });
        }
        Ok(verified)
    }

    fn app(&self, claims: &Claims) -> Checked<App> {
        let azp = due("azp", claims.text("azp")?)?;
        let service = self.clients.get(azp).ok_or(TokenRefusal::Client)?;
        Ok(App { azp: azp.to_owned(), service: *service })
    }
}

/// The end of the token's life: not over, begun, and not too far off.
fn life(claims: &Claims, now: UnixMillis) -> Checked<UnixMillis> {
    let expires = due("exp", claims.seconds("exp")?)?;
    let now = u64::try_from(now.0 / 1000).unwrap_or_default();
    if expires.saturating_add(TOKEN_LEEWAY_S) <= now {
        return Err(TokenRefusal::Expired);
    }
    let begin = [claims.seconds("iat")?, claims.seconds("nbf")?];
    if begin.iter().flatten().any(|begin| *begin > now.saturating_add(TOKEN_LEEWAY_S)) {
        return Err(TokenRefusal::Early);
    }
    let [issued, _] = begin;
    let left = expires.saturating_sub(now.saturating_add(TOKEN_LEEWAY_S));
    let whole = issued.map_or(0, |issued| expires.saturating_sub(issued));
    if left.max(whole) > TOKEN_LIFE_S_MAX {
        return Err(TokenRefusal::LongLived);
    }
    Ok(UnixMillis(i64::try_from(expires).unwrap_or(i64::MAX).saturating_mul(1000)))
}
