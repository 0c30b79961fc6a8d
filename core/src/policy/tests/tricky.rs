//! Combinations that are easy to get wrong, derived by hand from the model. Each comment names the rule.

use super::*;

fn holds(cases: &[(&str, &str)]) {
    check_all(&default_packs(), cases);
}

#[test]
fn which_pack_applies() {
    holds(&[
        // An id without a pack takes its longest prefix that has one.
        (
            "2026-11-22 US-TX US-TX general 18+ none unset 0 na 1",
            "profile_std edge linked@us yes BASIS_FREE",
        ),
        // A longer id goes by its longest prefix, not by the shortest: California removes xpt under GPC.
        (
            "2026-11-22 US-CA-SF US-CA-SF general 18+ none unset 1 na 1",
            "profile_std edge linked@us no BASIS_FREE;GPC_HONOURED",
        ),
        // EU-ES goes by EU, whose default is 16.
        (
            "2026-11-22 EU-ES EU-ES general 15 granted unset 0 na 1",
            "contextual no aggregate no MINOR_RULE;PARENTAL_REQUIRED",
        ),
        (
            "2026-11-22 EU-ES EU-ES general 16-17 granted unset 0 na 1",
            "explicit_only edge aggregate no BASIS_CONSENT;MINOR_RULE",
        ),
        // A delegated value replaces the default before the meet: France's 15 is not met with 16.
        (
            "2026-11-22 EU-FR EU-FR vlop 15 granted unset 0 na 1",
            "explicit_only edge aggregate no BASIS_CONSENT;MINOR_RULE",
        ),
        // Belgium's 13.
        (
            "2026-11-22 EU-BE EU-BE social 13 granted unset 0 na 1",
            "explicit_only edge aggregate no BASIS_CONSENT;MINOR_RULE",
        ),
        (
            "2026-11-22 EU-BE EU-BE social 12 granted unset 0 na 1",
            "contextual no aggregate no MINOR_RULE;PARENTAL_REQUIRED",
        ),
        // A resident-only pack as a location climbs: a Texan in California meets the US rule alone.
        (
            "2026-11-22 US-TX US-CA general 18+ none unset 1 na 1",
            "profile_std edge linked@us yes BASIS_FREE",
        ),
        // The same in Colorado: sensitive data needs no consent there for a tourist.
        (
            "2026-11-22 US-TX US-CO general 18+ none unset 0 unset 1",
            "profile_full edge linked@us yes BASIS_FREE",
        ),
        // New York applies to presence too: US is its ancestor, so JUR_STRICTEST is not said.
        (
            "2026-11-22 US-TX US-NY social 15 none unset 0 na 1",
            "contextual no aggregate no CONSENT_MISSING;MINOR_RULE",
        ),
        // California at home, New York at the location: neither is an ancestor of the other.
        (
            "2026-11-22 US-CA US-NY general 18+ none unset 0 na 1",
            "profile_std edge linked@us yes BASIS_FREE;JUR_STRICTEST",
        ),
        // California at home, Colorado at the location, which climbs to US: an ancestor.
        (
            "2026-11-22 US-CA US-CO general 18+ none unset 0 na 1",
            "profile_std edge linked@us yes BASIS_FREE",
        ),
        // A German in the Union at large: EU is an ancestor of EU-DE.
        (
            "2026-11-22 EU-DE EU-ES general 18+ granted unset 0 na 1",
            "profile_std edge linked@eu no BASIS_CONSENT",
        ),
        // Unknown location: STRICT counts as a pack for JUR_STRICTEST.
        (
            "2026-11-22 EU-DE XX general 18+ granted on 0 na 1",
            "editorial no none no JUR_STRICTEST;JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
        // Ids are exact: lower case is another id, and unknown.
        (
            "2026-11-22 eu-de EU-DE general 18+ granted on 0 na 1",
            "editorial no none no JUR_STRICTEST;JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
        // The bottom can't be asked for by name either: it is an unknown id.
        (
            "2026-11-22 STRICT STRICT general 18+ granted on 0 na 1",
            "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
    ]);
}

#[test]
fn dates() {
    holds(&[
        // The Union's pack starts on 2024-02-17, inclusive; before, no version is in force: STRICT.
        (
            "2024-02-16 EU EU general 18+ granted unset 0 na 1",
            "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
        (
            "2024-02-17 EU EU general 18+ granted unset 0 na 1",
            "profile_std edge linked@eu no BASIS_CONSENT",
        ),
        // New York's own version is in force, its ancestor's is not until 2026-04-22: STRICT.
        (
            "2026-04-21 US-NY US-NY general 18+ none unset 0 na 1",
            "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
        (
            "2026-04-22 US-NY US-NY general 18+ none unset 0 na 1",
            "profile_std edge linked@us yes BASIS_FREE",
        ),
        // Before its own date New York has a pack without a version in force: STRICT, not US.
        (
            "2025-06-19 US-NY US-NY general 18+ none unset 0 na 1",
            "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
        // California's first version ends on 2026-12-31, inclusive; the next starts the day after.
        (
            "2026-12-31 US-CA US-CA vlop unknown none unset 0 na 1",
            "profile_std edge linked@us yes BASIS_FREE",
        ),
        (
            "2027-01-01 US-CA US-CA vlop unknown none unset 0 na 1",
            "explicit_only edge aggregate no AGE_UNKNOWN_MINOR;MINOR_RULE;PARENTAL_REQUIRED",
        ),
        // From 2027 only social and vlop treat an unknown age as a minor's.
        (
            "2027-01-01 US-CA US-CA general unknown none unset 0 na 1",
            "profile_std edge linked@us yes BASIS_FREE",
        ),
        (
            "2027-01-01 US-CA US-CA social unknown parental unset 0 na 1",
            "profile_std edge linked@us no AGE_UNKNOWN_MINOR;BASIS_PARENTAL;MINOR_RULE",
        ),
        // India on both sides of 2027-05-13: opt-out, then consent.
        (
            "2027-05-12 IN IN general 18+ none unset 0 na 1",
            "profile_std edge linked@in no BASIS_OPT_OUT",
        ),
        (
            "2027-05-13 IN IN general 18+ none unset 0 na 1",
            "contextual no aggregate no CONSENT_MISSING",
        ),
        // A minor differs from an adult in `sen` alone under the old rule: MINOR_RULE all the same.
        (
            "2027-05-12 IN IN general 15 none unset 0 na 1",
            "profile_std edge linked@in no BASIS_OPT_OUT;MINOR_RULE",
        ),
        // India's first version starts on 2011-04-11.
        (
            "2011-04-10 IN IN general 18+ none unset 0 na 1",
            "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
        // The United Kingdom's pack starts on 2026-02-05.
        (
            "2026-02-04 UK UK general 18+ granted unset 0 na 1",
            "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
        // A location without a version in force is STRICT, whatever the home says.
        (
            "2026-02-04 EU-DE UK general 18+ granted unset 0 na 1",
            "editorial no none no JUR_STRICTEST;JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
    ]);
}

#[test]
fn consent_switch_and_basis() {
    holds(&[
        // Parental consent satisfies opt_in as well; the code is named after the basis.
        (
            "2026-11-22 EU-DE EU-DE general 18+ parental unset 0 na 1",
            "profile_std edge linked@eu no BASIS_CONSENT",
        ),
        // A switch set to on is not consent.
        (
            "2026-11-22 EU-DE EU-DE general 18+ none on 0 na 1",
            "contextual no aggregate no CONSENT_MISSING",
        ),
        // The switch comes before withdrawal and refusal in the list of codes.
        (
            "2026-11-22 EU-DE EU-DE general 18+ withdrawn off 0 na 1",
            "contextual no aggregate no USER_OFF",
        ),
        (
            "2026-11-22 EU-DE EU-DE general 18+ refused off 0 na 1",
            "contextual no aggregate no USER_OFF",
        ),
        // Withdrawal and refusal come before PARENTAL_REQUIRED.
        (
            "2026-11-22 EU-DE EU-DE general 12 withdrawn unset 0 na 1",
            "contextual no aggregate no CONSENT_WITHDRAWN;MINOR_RULE",
        ),
        (
            "2026-11-22 EU-DE EU-DE general 12 refused unset 0 na 1",
            "contextual no aggregate no CONSENT_REFUSED;MINOR_RULE",
        ),
        // PROFILE_FORBIDDEN comes before the switch: a 15-year-old on a social network in Australia.
        (
            "2026-11-22 AU AU social 15 parental off 0 na 1",
            "contextual no none no MINOR_RULE;PROFILE_FORBIDDEN",
        ),
        // The same 15-year-old on a general service: opt-out from 15.
        (
            "2026-11-22 AU AU general 15 none unset 0 na 1",
            "profile_std edge linked@au no BASIS_OPT_OUT",
        ),
        (
            "2026-11-22 AU AU general 14 none unset 0 na 1",
            "contextual no aggregate no MINOR_RULE;PARENTAL_REQUIRED",
        ),
        // 16-17 counts as 16: the social ban has ended, and the rule is an adult's.
        (
            "2026-11-22 AU AU vlop 16-17 none unset 0 na 1",
            "profile_std edge linked@au no BASIS_OPT_OUT",
        ),
        // Refusal takes what rests on the absence of objection; explicit choices stay in the US.
        (
            "2026-11-22 US-VA US-VA general 18+ refused unset 0 na 1",
            "explicit_only edge aggregate no CONSENT_REFUSED",
        ),
        // The switch takes everything stored, explicit choices too, and the session.
        (
            "2026-11-22 US-VA US-VA general 18+ granted off 0 na 1",
            "contextual no aggregate no USER_OFF",
        ),
        // Withdrawal under opt-out: `without` remains, here the session.
        (
            "2026-11-22 CA CA general 18+ withdrawn unset 0 na 1",
            "session_only no aggregate no CONSENT_WITHDRAWN",
        ),
        // The switch removes the session too.
        ("2026-11-22 CA CA general 18+ none off 0 na 1", "contextual no aggregate no USER_OFF"),
        // A child in California on a social network: followed sources without consent.
        (
            "2026-11-22 US-CA US-CA social 15 none unset 0 na 1",
            "explicit_only edge aggregate no MINOR_RULE;PARENTAL_REQUIRED",
        ),
        // Below 13 the parent's rule is silently met: no explicit choices.
        (
            "2026-11-22 US-CA US-CA social 12 none unset 0 na 1",
            "contextual no aggregate no MINOR_RULE;PARENTAL_REQUIRED",
        ),
        // California's general rule is free at 12, the US rule wants a parent: the chain minimum.
        (
            "2026-11-22 US-CA US-CA general 12 granted unset 0 na 1",
            "contextual no aggregate no MINOR_RULE;PARENTAL_REQUIRED",
        ),
        // From 16 sharing is as an adult's, so no MINOR_RULE.
        (
            "2026-11-22 US-CA US-CA general 16-17 none unset 0 na 1",
            "profile_std edge linked@us yes BASIS_FREE",
        ),
        // `0-11` counts as 0; Brazil's rule for 12 does not reach it.
        (
            "2026-11-22 BR BR general 0-11 granted unset 0 na 1",
            "contextual no aggregate no MINOR_RULE;PARENTAL_REQUIRED",
        ),
        (
            "2026-11-22 BR BR general 12 granted unset 0 na 1",
            "explicit_only edge aggregate no BASIS_CONSENT;MINOR_RULE",
        ),
        // Emirates: without consent a child feeds nothing, and only counts are left.
        (
            "2026-11-22 AE AE general 12 none unset 0 na 1",
            "popular_k no none no MINOR_RULE;PARENTAL_REQUIRED",
        ),
        // A guardian's consent there still leaves events at none.
        (
            "2026-11-22 AE AE general 12 parental unset 0 na 1",
            "explicit_only edge none no BASIS_PARENTAL;MINOR_RULE",
        ),
        // Korea tolerates the session without consent.
        (
            "2026-11-22 KR KR general 18+ none unset 0 na 1",
            "session_only no aggregate no CONSENT_MISSING",
        ),
        // Korea's 14-year-olds are as adults: no MINOR_RULE.
        (
            "2026-11-22 KR KR general 14 granted unset 0 na 1",
            "profile_std edge linked@kr no BASIS_CONSENT",
        ),
    ]);
}

#[test]
fn unknown_age() {
    holds(&[
        // Unknown in the UK is a minor's: 13, where the rule differs from an adult's in `sen`.
        (
            "2026-11-22 UK UK general unknown granted unset 0 yes 1",
            "profile_std edge linked@uk no AGE_UNKNOWN_MINOR;BASIS_CONSENT;MINOR_RULE",
        ),
        // Unknown in the Union is an adult's.
        (
            "2026-11-22 EU-DE EU-DE vlop unknown granted unset 0 na 1",
            "profile_std edge linked@eu no BASIS_CONSENT",
        ),
        // Met with the UK, minor wins: 13, and Germany's rule for 13 wants a parent.
        (
            "2026-11-22 EU-DE UK vlop unknown granted unset 0 na 1",
            "contextual no aggregate no AGE_UNKNOWN_MINOR;JUR_STRICTEST;MINOR_RULE;PARENTAL_REQUIRED",
        ),
        // Unknown with STRICT: 13, but 13 and 18 are alike there, so no MINOR_RULE.
        (
            "2026-11-22 EU-DE XX general unknown granted unset 0 na 1",
            "editorial no none no AGE_UNKNOWN_MINOR;JUR_STRICTEST;JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
        // Japan has one rule for all ages: a minor's is not different.
        (
            "2026-11-22 JP JP general 12 none unset 0 na 1",
            "profile_std edge linked@jp no BASIS_FREE",
        ),
    ]);
}

#[test]
fn privacy_control_and_sensitive_attributes() {
    holds(&[
        // GPC_HONOURED only where P.gpc is not empty: Virginia's is.
        (
            "2026-11-22 US-VA US-VA general 18+ none unset 1 na 1",
            "profile_std edge linked@us yes BASIS_FREE",
        ),
        // It is said even where nothing was left to remove.
        (
            "2026-11-22 EU-DE EU-DE general 18+ none unset 1 na 1",
            "contextual no aggregate no CONSENT_MISSING;GPC_HONOURED",
        ),
        // STRICT's is not empty either.
        (
            "2026-11-22 unknown unknown general 18+ none unset 1 na 1",
            "editorial no none no GPC_HONOURED;JUR_UNKNOWN;PROFILE_FORBIDDEN",
        ),
        // Either side's suffices: the union of both.
        (
            "2026-11-22 JP EU-DE general 18+ granted unset 1 na 1",
            "profile_std edge linked@eu no BASIS_CONSENT;GPC_HONOURED;JUR_STRICTEST;STORED_AT_LOCATION",
        ),
        // Explicit consent to sensitive attributes: the full profile.
        (
            "2026-11-22 EU-DE EU-DE general 18+ granted unset 0 yes 1",
            "profile_full edge linked@eu no BASIS_CONSENT",
        ),
        (
            "2026-11-22 EU-DE EU-DE general 18+ granted unset 0 no 1",
            "profile_std edge linked@eu no BASIS_CONSENT;SENSITIVE_EXCLUDED",
        ),
        // The switch took `sen` before: SENSITIVE_EXCLUDED is not said.
        (
            "2026-11-22 EU-DE EU-DE general 18+ granted off 0 no 1",
            "contextual no aggregate no USER_OFF",
        ),
        // Without consent `sen` was never granted.
        (
            "2026-11-22 EU-DE EU-DE general 18+ none unset 0 unset 1",
            "contextual no aggregate no CONSENT_MISSING",
        ),
        // Under opt_out an unset consent is met; na is not, without a code.
        (
            "2026-11-22 US-NY US-NY general 18+ none unset 0 unset 1",
            "profile_full edge linked@us yes BASIS_FREE",
        ),
        (
            "2026-11-22 US-NY US-NY general 18+ none unset 0 na 1",
            "profile_std edge linked@us yes BASIS_FREE",
        ),
        // Home unreachable comes after: the code for `sen` stays.
        (
            "2026-11-22 EU-DE EU-DE general 18+ granted unset 0 no 0",
            "session_only no buffer@eu no BASIS_CONSENT;HOME_UNREACHABLE;SENSITIVE_EXCLUDED;STORE_BUFFERED",
        ),
    ]);
}

#[test]
fn where_the_profile_is_read() {
    holds(&[
        // The location's domain is in H.process_in: the edge, though the domains differ.
        (
            "2026-11-22 EU-DE JP general 18+ granted unset 0 na 1",
            "profile_std edge linked@eu no BASIS_CONSENT;JUR_STRICTEST",
        ),
        // Not in H.process_in, but home is in L.process_in: home.
        (
            "2026-11-22 EU-DE US-TX general 18+ granted unset 0 na 1",
            "profile_std home linked@eu no BASIS_CONSENT;JUR_STRICTEST;SCORED_AT_HOME",
        ),
        // Neither: barred, and the stored signals go.
        (
            "2026-11-22 RU EU-DE general 18+ granted unset 0 na 1",
            "session_only no none no BASIS_CONSENT;EXPORT_BARRED;JUR_STRICTEST;STORE_BARRED",
        ),
        // Russia at the location of an American home: us bars ru, and ru bars us.
        (
            "2026-11-22 US-TX RU general 18+ granted unset 0 na 1",
            "session_only no none no BASIS_CONSENT;EXPORT_BARRED;JUR_STRICTEST;STORE_BARRED",
        ),
        // India lets its data go anywhere, so Russia may read it; the first write must be in Russia.
        (
            "2026-11-22 IN RU general 18+ granted unset 0 na 1",
            "profile_std edge linked@ru no BASIS_CONSENT;JUR_STRICTEST;STORED_AT_LOCATION",
        ),
        // A Russian in India: India's law lets ru read, so at home; stored at home, where the copy must be.
        (
            "2026-11-22 RU IN general 18+ granted unset 0 na 1",
            "profile_std home linked@ru no BASIS_CONSENT;JUR_STRICTEST;SCORED_AT_HOME",
        ),
        // Nothing stored is granted: no code of step 4, even with home unreachable.
        (
            "2026-11-22 EU-DE EU-DE general 18+ none unset 0 na 0",
            "contextual no aggregate no CONSENT_MISSING",
        ),
        // Unreachable is the first branch: EXPORT_BARRED is not said as well.
        (
            "2026-11-22 CN EU-DE general 18+ granted unset 0 na 0",
            "session_only no none no BASIS_CONSENT;HOME_UNREACHABLE;JUR_STRICTEST;STORE_BARRED",
        ),
        // Unreachable at a minor's explicit-only feed: no session there, so contextual.
        (
            "2026-11-22 EU-DE EU-DE general 16-17 granted unset 0 na 0",
            "contextual no aggregate no BASIS_CONSENT;HOME_UNREACHABLE;MINOR_RULE",
        ),
        // Third-party data is used only where the profile is read.
        (
            "2026-11-22 US-TX US-TX general 18+ none unset 0 na 0",
            "session_only no buffer@us no BASIS_FREE;HOME_UNREACHABLE;STORE_BUFFERED",
        ),
        // `without` with explicit choices needs home as well.
        (
            "2026-11-22 US-TX US-TX general 18+ refused unset 0 na 0",
            "session_only no aggregate no CONSENT_REFUSED;HOME_UNREACHABLE",
        ),
    ]);
}

#[test]
fn where_events_are_stored() {
    holds(&[
        // Home in both: stored at home although the location's domain is in both too.
        (
            "2026-11-22 CA US-TX general 18+ none unset 0 na 1",
            "profile_std edge linked@ca no BASIS_OPT_OUT;JUR_STRICTEST",
        ),
        // The same, unreachable: the location's domain is in both, so buffered there.
        (
            "2026-11-22 CA US-TX general 18+ none unset 0 na 0",
            "session_only no buffer@us no BASIS_OPT_OUT;HOME_UNREACHABLE;JUR_STRICTEST;STORE_BUFFERED",
        ),
        // Quebec stores only in ca: unreachable, the location may not hold it, so it is not stored.
        (
            "2026-11-22 CA-QC US-TX general 18+ granted unset 0 na 0",
            "session_only no none no BASIS_CONSENT;HOME_UNREACHABLE;JUR_STRICTEST;STORE_BARRED",
        ),
        // Stored at the location does not ask whether home can be reached.
        (
            "2026-11-22 UK EU-DE general 18+ granted unset 0 na 0",
            "session_only no linked@eu no BASIS_CONSENT;HOME_UNREACHABLE;JUR_STRICTEST;STORED_AT_LOCATION",
        ),
        // Neither home nor location in both: India's data in Korea... kr is in both, so it stays there.
        (
            "2026-11-22 IN KR general 18+ granted unset 0 na 1",
            "profile_std edge linked@kr no BASIS_CONSENT;JUR_STRICTEST;STORED_AT_LOCATION",
        ),
        // Both store in eu alone in common, which is neither's: not stored.
        (
            "2026-11-22 BR KR general 18+ granted unset 0 na 1",
            "session_only no none no BASIS_CONSENT;EXPORT_BARRED;JUR_STRICTEST;STORE_BARRED",
        ),
        // China's primary copy is in cn; with a home that stores everywhere, cn holds it.
        (
            "2026-11-22 IN CN general 18+ granted unset 0 na 1",
            "profile_std edge linked@cn no BASIS_CONSENT;JUR_STRICTEST;STORED_AT_LOCATION",
        ),
        // Two primary copies can't both be inside the intersection: nothing is stored.
        (
            "2026-11-22 CN RU general 18+ granted unset 0 na 1",
            "session_only no none no BASIS_CONSENT;EXPORT_BARRED;JUR_STRICTEST;STORE_BARRED",
        ),
        // An aggregate event has no place, and no code of step 6.
        (
            "2026-11-22 CN RU general 18+ none unset 0 na 1",
            "contextual no aggregate no CONSENT_MISSING;JUR_STRICTEST",
        ),
        // The switch caps events at aggregate even where consent is given.
        (
            "2026-11-22 CN EU-DE general 18+ granted off 0 na 0",
            "contextual no aggregate no JUR_STRICTEST;USER_OFF",
        ),
    ]);
}
