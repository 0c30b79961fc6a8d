//! What a policy grants, and the algorithm variant that follows from it.

use super::word::{Word, WordSet, words};

words! {
    /// What a ranking may look at.
    Signal, "signal" {
        /// Counts over at least `k_min` distinct people.
        Agg = "agg",
        /// This request: item in view, query, language, coarse place, device class; nothing remembered.
        Ctx = "ctx",
        /// Behaviour in this session, in memory only.
        Ses = "ses",
        /// Stored explicit choices: follows, declared interests, ratings, blocks.
        Exp = "exp",
        /// Stored behaviour and interests inferred from it.
        Beh = "beh",
        /// Third-party or cross-context data.
        Xpt = "xpt",
        /// Sensitive attributes.
        Sen = "sen",
    }
}

/// A set of signals.
pub type SignalSet = WordSet<Signal>;

impl SignalSet {
    /// The signals that are stored: `exp`, `beh`, `xpt`, `sen`.
    pub const STORED: Self = Self::from_bits(0b111_1000);
    /// What the person's switch always removes: the stored signals and `ses`.
    pub const SWITCHED: Self = Self::from_bits(0b111_1100);
}

words! {
    /// An algorithm bundle, richest first.
    Variant, "variant" {
        /// Everything, sensitive attributes too.
        ProfileFull = "profile_full",
        /// Stored behaviour and choices.
        ProfileStd = "profile_std",
        /// Stored explicit choices alone.
        ExplicitOnly = "explicit_only",
        /// This session alone.
        SessionOnly = "session_only",
        /// This request alone.
        Contextual = "contextual",
        /// Popularity over at least `k_min` people.
        PopularK = "popular_k",
        /// Chosen by hand; needs nothing.
        Editorial = "editorial",
    }
}

impl Variant {
    /// The signals without which the variant may not run.
    #[must_use]
    pub const fn needs(self) -> SignalSet {
        SignalSet::from_bits(match self {
            Self::ProfileFull => 0b101_1111,
            Self::ProfileStd => 0b001_1111,
            Self::ExplicitOnly => 0b000_1011,
            Self::SessionOnly => 0b000_0111,
            Self::Contextual => 0b000_0011,
            Self::PopularK => 0b000_0001,
            Self::Editorial => 0,
        })
    }

    /// Whether the variant reads the stored profile, or a part of it.
    #[must_use]
    pub fn reads_profile(self) -> bool {
        !self.needs().intersection(SignalSet::STORED).is_empty()
    }

    /// The first variant of the table whose needs are all granted.
    #[must_use]
    pub fn of(granted: SignalSet) -> Self {
        Self::ALL
            .iter()
            .copied()
            .find(|variant| variant.needs().is_subset(granted))
            .unwrap_or(Self::Editorial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> SignalSet {
        text.split_whitespace().map(|w| w.parse::<Signal>().unwrap()).collect()
    }

    #[test]
    fn the_table_of_variants() {
        for (variant, needs, reads) in [
            (Variant::ProfileFull, "agg ctx ses exp beh sen", true),
            (Variant::ProfileStd, "agg ctx ses exp beh", true),
            (Variant::ExplicitOnly, "agg ctx exp", true),
            (Variant::SessionOnly, "agg ctx ses", false),
            (Variant::Contextual, "agg ctx", false),
            (Variant::PopularK, "agg", false),
            (Variant::Editorial, "", false),
        ] {
            assert_eq!(variant.needs(), set(needs), "{variant}");
            assert_eq!(variant.reads_profile(), reads, "{variant}");
        }
        assert_eq!(SignalSet::STORED, set("exp beh xpt sen"));
        assert_eq!(SignalSet::SWITCHED, set("ses exp beh xpt sen"));
    }

    #[test]
    fn fewer_signals_only_move_down_the_table() {
        for bits in 0..128 {
            let granted = SignalSet::from_bits(bits);
            for less in Signal::ALL {
                let fewer = granted.without(WordSet::from_iter([*less]));
                assert!(Variant::of(fewer) >= Variant::of(granted), "{granted} less {less}");
            }
        }
    }
}
