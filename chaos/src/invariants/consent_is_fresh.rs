//! An answer knows the person's latest choice, or says that home can't be reached.

use bailiwick_proto::v1;

/// What is stale in an answer to somebody whose last choice, long enough ago, was `choice`.
#[must_use]
pub fn check(choice: &str, answer: &v1::RecommendResponse) -> Option<String> {
    let decision = answer.decision.as_ref()?;
    let says = |code: &str| decision.reason_codes.iter().any(|found| found == code);
    let known = match choice {
        "refused" => says("CONSENT_REFUSED") && decision.variant == "contextual",
        _ => says("BASIS_CONSENT"),
    };
    let excused =
        decision.profile_read == "no" && (says("HOME_UNREACHABLE") || says("JUR_UNKNOWN"));
    let codes = decision.reason_codes.join(";");
    (!known && !excused).then(|| format!("{choice} long ago, but {}: {codes}", decision.variant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_is_not_known_is_found() {
        for (choice, variant, codes, fine) in [
            ("refused", "contextual", &["CONSENT_REFUSED"][..], true),
            ("refused", "profile_std", &["BASIS_CONSENT"], false),
            ("refused", "contextual", &["CONSENT_MISSING"], false),
            ("refused", "contextual", &["CONSENT_MISSING", "HOME_UNREACHABLE"], true),
            ("granted", "profile_std", &["BASIS_CONSENT"], true),
            ("granted", "contextual", &["CONSENT_REFUSED"], false),
        ] {
            let read = if variant == "profile_std" { "edge" } else { "no" };
            let decision = v1::Decision {
                variant: variant.into(),
                profile_read: read.into(),
                reason_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
                ..v1::Decision::default()
            };
            let answer = v1::RecommendResponse {
                decision: Some(decision),
                ..v1::RecommendResponse::default()
            };
            assert_eq!(check(choice, &answer).is_none(), fine, "{choice}, {variant}, {codes:?}");
        }
    }
}
