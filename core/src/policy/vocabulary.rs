//! The words of packs and of requests. Chains are declared from strict to lax.

use super::word::{WordSet, words};

words! {
    /// On what the use of stored data rests: the chain of `age_rules.basis`, strict to lax.
    Basis, "basis" {
        /// No use at all.
        Forbidden = "forbidden",
        /// A guardian's consent.
        ParentalOptIn = "parental_opt_in",
        /// Consent.
        OptIn = "opt_in",
        /// Use unless the person objects.
        OptOut = "opt_out",
        /// Use without asking; the switch still works.
        Free = "free",
    }
}
words! {
    /// What an event may feed, strict to lax.
    EventClass, "event class" {
        /// Nothing.
        None = "none",
        /// Counters released only at `k_min`, without a link to the person.
        Aggregate = "aggregate",
        /// The person's profile and the learning of vectors and lists.
        Linked = "linked",
    }
}
words! {
    /// What a person of unknown age counts as, strict to lax.
    UnknownAge, "unknown_age" {
        /// As 13.
        Minor = "minor",
        /// As 18.
        Adult = "adult",
    }
}
words! {
    /// On what the use of sensitive attributes rests, strict to lax.
    SensitiveBasis, "sensitive.basis" {
        /// Never used.
        Excluded = "excluded",
        /// Explicit consent.
        Explicit = "explicit",
        /// Unless refused.
        OptOut = "opt_out",
    }
}
words! {
    /// The kind of service that asks.
    Service, "service" {
        /// Any other service.
        General = "general",
        /// A social network.
        Social = "social",
        /// A very large online platform.
        Vlop = "vlop",
    }
}
words! {
    /// The age band of the person, as the token claims it.
    AgeBand, "age_band" {
        /// Below 12.
        UpTo11 = "0-11",
        /// 12.
        Twelve = "12",
        /// 13.
        Thirteen = "13",
        /// 14.
        Fourteen = "14",
        /// 15.
        Fifteen = "15",
        /// 16 or 17.
        SixteenSeventeen = "16-17",
        /// 18 and above.
        Adult = "18+",
        /// Not known.
        Unknown = "unknown",
    }
}
words! {
    /// The person's consent to the use of stored data.
    Consent, "consent" {
        /// Never asked or never answered.
        None = "none",
        /// Given.
        Granted = "granted",
        /// Asked and refused.
        Refused = "refused",
        /// Given once, taken back.
        Withdrawn = "withdrawn",
        /// Given by a guardian.
        Parental = "parental",
    }
}
words! {
    /// The person's switch for personalisation. On is not consent.
    Toggle, "toggle" {
        /// Never touched.
        Unset = "unset",
        /// Personalisation wanted.
        On = "on",
        /// Nothing stored may be used.
        Off = "off",
    }
}
words! {
    /// Consent to the use of sensitive attributes.
    SensitiveConsent, "sensitive_consent" {
        /// Nothing sensitive is known.
        Na = "na",
        /// Not asked.
        Unset = "unset",
        /// Given.
        Yes = "yes",
        /// Refused.
        No = "no",
    }
}
words! {
    /// Where the stored profile may be read.
    ProfileRead, "profile_read" {
        /// At the request's location.
        Edge = "edge",
        /// Only at home: the request goes there, the list comes back.
        Home = "home",
        /// Nowhere.
        No = "no",
    }
}
words! {
    /// To whom a pack applies: the connecting factor.
    Factor, "applies" {
        /// People whose home the jurisdiction is.
        Resident = "resident",
        /// Requests made there.
        Present = "present",
    }
}
words! {
    /// How settled a rule's legal reading is.
    LegalStatus, "status" {
        /// Settled.
        Firm = "firm",
        /// Reasonable lawyers disagree.
        Differs = "differs",
    }
}
words! {
    /// What lets data go to another domain.
    Mechanism, "mechanism" {
        /// The destination is recognised as protecting enough.
        Adequacy = "adequacy",
        /// Standard contractual clauses.
        Scc = "scc",
        /// The United Kingdom's transfer agreement or addendum.
        Idta = "idta",
        /// Binding corporate rules.
        BindingRules = "binding_rules",
        /// Another contract that binds the receiver.
        Contract = "contract",
        /// A certified receiver.
        Certification = "certification",
        /// The sender stays accountable.
        Accountability = "accountability",
        /// The law sets no condition for these destinations.
        Unrestricted = "unrestricted",
    }
}
words! {
    /// What people must be told or given.
    Transparency, "transparency" {
        /// A notice of purposes and of the kinds of data used.
        PurposeNotice = "purpose_notice",
        /// The main parameters of the ranking, and their relative weight.
        MainParameters = "main_parameters",
        /// An option that is not based on profiling.
        NonProfiledOption = "non_profiled_option",
        /// A switch that is reached directly from the ranked list, and stays as it was set.
        SwitchInReach = "switch_in_reach",
        /// That recommendation technology is in use.
        RecommendationNotice = "recommendation_notice",
        /// Published rules: principles, sources of data, mechanism, contact.
        PublishedRules = "published_rules",
        /// That profiling functions exist, and how to turn them on.
        ProfilingNotice = "profiling_notice",
        /// On request: the data, reasons and main factors of a decision.
        DecisionExplanation = "decision_explanation",
        /// On request: a summary of the data held and of its receivers.
        DataSummary = "data_summary",
        /// Seeing and deleting the tags a profile is made of.
        TagControl = "tag_control",
        /// Whether an opt-out signal was honoured.
        SignalDisplay = "signal_display",
        /// How long each kind of data is kept.
        RetentionNotice = "retention_notice",
    }
}
words! {
    /// What the operator must do or keep for the authorities.
    Oversight, "oversight" {
        /// Records of processing.
        Records = "records",
        /// An assessment of the impact on people.
        ImpactAssessment = "impact_assessment",
        /// An assessment of systemic risks, and their mitigation.
        SystemicRisk = "systemic_risk",
        /// An audit by someone independent, at set intervals.
        IndependentAudit = "independent_audit",
        /// Access for vetted researchers and the regulator.
        ResearcherAccess = "researcher_access",
        /// An officer or function for compliance.
        ComplianceOfficer = "compliance_officer",
        /// A person who reviews a contested decision.
        HumanReview = "human_review",
        /// A risk assessment for children.
        ChildRisk = "child_risk",
        /// Filing of the algorithm with the regulator.
        AlgorithmFiling = "algorithm_filing",
        /// Logs of processing kept apart, for at least a year.
        ProcessingLogs = "processing_logs",
        /// A register of incidents.
        IncidentRegister = "incident_register",
        /// An assessment before data leaves.
        TransferAssessment = "transfer_assessment",
        /// Records of transfers and of disclosures.
        TransferRecords = "transfer_records",
        /// A notice to the regulator before data leaves.
        TransferNotice = "transfer_notice",
        /// Records of destruction.
        DestructionRecords = "destruction_records",
        /// Records of people's requests.
        RequestRecords = "request_records",
        /// A written security programme.
        SecurityProgramme = "security_programme",
        /// A way to complain, with records of it.
        Complaints = "complaints",
        /// Entry in the regulator's registry.
        Registration = "registration",
    }
}
words! {
    /// Why a decision is as it is. Ordered by text.
    Reason, "reason code" {
        /// The age is unknown, and the packs say that it counts as a minor's.
        AgeUnknownMinor = "AGE_UNKNOWN_MINOR",
        /// Allowed by consent.
        BasisConsent = "BASIS_CONSENT",
        /// Allowed without asking.
        BasisFree = "BASIS_FREE",
        /// Allowed, no objection.
        BasisOptOut = "BASIS_OPT_OUT",
        /// Allowed by a guardian's consent.
        BasisParental = "BASIS_PARENTAL",
        /// Consent is needed, and there is none.
        ConsentMissing = "CONSENT_MISSING",
        /// Consent was refused.
        ConsentRefused = "CONSENT_REFUSED",
        /// Consent was withdrawn.
        ConsentWithdrawn = "CONSENT_WITHDRAWN",
        /// Neither law lets the profile be read, here or at home.
        ExportBarred = "EXPORT_BARRED",
        /// The global privacy control was sent, and the packs give it effect.
        GpcHonoured = "GPC_HONOURED",
        /// The home domain can't be reached.
        HomeUnreachable = "HOME_UNREACHABLE",
        /// Two packs met, neither an ancestor of the other.
        JurStrictest = "JUR_STRICTEST",
        /// A jurisdiction without a usable pack.
        JurUnknown = "JUR_UNKNOWN",
        /// The person's age changes the rule.
        MinorRule = "MINOR_RULE",
        /// A guardian's consent is needed, and there is none.
        ParentalRequired = "PARENTAL_REQUIRED",
        /// No use is allowed at all.
        ProfileForbidden = "PROFILE_FORBIDDEN",
        /// Read at home; only the list travels.
        ScoredAtHome = "SCORED_AT_HOME",
        /// Sensitive attributes were left out.
        SensitiveExcluded = "SENSITIVE_EXCLUDED",
        /// The event stays where it was collected.
        StoredAtLocation = "STORED_AT_LOCATION",
        /// The event may be stored nowhere that both laws allow.
        StoreBarred = "STORE_BARRED",
        /// The event waits, sealed, for its home.
        StoreBuffered = "STORE_BUFFERED",
        /// The person switched personalisation off.
        UserOff = "USER_OFF",
    }
}

/// Kinds of service.
pub type ServiceSet = WordSet<Service>;
/// Reason codes; iterates sorted by text.
pub type Reasons = WordSet<Reason>;

/// Years from which on every rule is an adult's.
pub const ADULT: u8 = 18;
/// The age that an unknown minor counts as.
pub(crate) const UNKNOWN_MINOR: u8 = 13;

impl AgeBand {
    /// The band's lower bound in years; none when the age is unknown.
    #[must_use]
    pub fn lower_bound(self) -> Option<u8> {
        match self {
            Self::UpTo11 => Some(0),
            Self::Twelve => Some(12),
            Self::Thirteen => Some(13),
            Self::Fourteen => Some(14),
            Self::Fifteen => Some(15),
            Self::SixteenSeventeen => Some(16),
            Self::Adult => Some(ADULT),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::word::Word;
    use super::*;

    #[test]
    fn reasons_are_ordered_by_their_text() {
        assert!(Reason::ALL.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()));
        assert!(Reason::ALL.len() <= 32, "a word set has 32 places");
    }

    #[test]
    fn a_refusal_names_field_value_and_allowed_words() {
        let error = "17".parse::<AgeBand>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "age_band is `17`, allowed: 0-11, 12, 13, 14, 15, 16-17, 18+, unknown"
        );
        assert!("Granted".parse::<Consent>().is_err(), "case matters");
        assert!("".parse::<Toggle>().is_err());
    }
}
