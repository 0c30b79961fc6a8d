//! No answer laxer than the packs allow: here for adults of Germany who consented, in a general app.

use bailiwick_proto::v1;

/// What a slate says that it may not.
#[must_use]
pub fn check(at: &str, answer: &v1::RecommendResponse) -> Option<String> {
    let decision = answer.decision.as_ref()?;
    let says = |code: &str| decision.reason_codes.iter().any(|found| found == code);
    let poorer = ["session_only", "contextual", "popular_k", "editorial"];
    let wrong = match decision.variant.as_str() {
        "profile_std" if !says("BASIS_CONSENT") => "a profile without its basis",
        "profile_std" if at != "eu" && decision.profile_read != "home" => "a profile read abroad",
        "profile_std" => return served(at, answer),
        variant
            if poorer.contains(&variant) && !says("HOME_UNREACHABLE") && !says("JUR_UNKNOWN") =>
        {
            "less than granted, without saying so"
        }
        variant if poorer.contains(&variant) => return None,
        _ => "more than granted",
    };
    let codes = decision.reason_codes.join(";");
    Some(format!("at {at}: {wrong}: {} for {codes}", decision.variant))
}

/// A profile is read at home, and a slate that leaves home names nothing of it.
fn served(at: &str, answer: &v1::RecommendResponse) -> Option<String> {
    let node = answer.served_by.as_ref()?;
    if node.domain != "eu" {
        return Some(format!("at {at}: a profile of eu was read by {}", node.node));
    }
    let tells = |item: &v1::RankedItem| item.why.iter().any(|why| why.from.is_some());
    (at != "eu" && answer.items.iter().any(tells))
        .then(|| format!("at {at}: a slate tells history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(variant: &str, read: &str, domain: &str, codes: &[&str]) -> v1::RecommendResponse {
        v1::RecommendResponse {
            decision: Some(v1::Decision {
                variant: variant.into(),
                profile_read: read.into(),
                reason_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
                ..v1::Decision::default()
            }),
            served_by: Some(v1::ServedBy { domain: domain.into(), ..v1::ServedBy::default() }),
            ..v1::RecommendResponse::default()
        }
    }

    #[test]
    fn laxer_and_poorer_answers_are_told_apart_from_lawful_ones() {
        for (at, variant, read, domain, codes, lawful) in [
            ("eu", "profile_std", "edge", "eu", &["BASIS_CONSENT"][..], true),
            ("us", "profile_std", "home", "eu", &["BASIS_CONSENT", "SCORED_AT_HOME"], true),
            ("us", "profile_std", "edge", "us", &["BASIS_CONSENT"], false),
            ("eu", "profile_std", "edge", "us", &["BASIS_CONSENT"], false),
            ("eu", "profile_std", "edge", "eu", &["CONSENT_MISSING"], false),
            ("us", "session_only", "no", "us", &["BASIS_CONSENT", "HOME_UNREACHABLE"], true),
            ("us", "contextual", "no", "us", &["CONSENT_MISSING"], false),
            ("eu", "editorial", "no", "eu", &["JUR_UNKNOWN"], true),
            ("eu", "profile_full", "edge", "eu", &["BASIS_CONSENT"], false),
        ] {
            let found = check(at, &answer(variant, read, domain, codes));
            assert_eq!(found.is_none(), lawful, "{variant} at {at}: {found:?}");
        }
    }
}
