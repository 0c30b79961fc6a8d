//! Closed vocabularies, and sets of their words.

use std::fmt;
use std::marker::PhantomData;

use crate::kind::Kind;

/// A text that is not a word of its vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is `{value}`, allowed: {allowed}")]
pub struct WordError {
    /// The field's name.
    pub field: &'static str,
    /// The text found, shortened to 40 characters.
    pub value: String,
    /// Every word of the vocabulary.
    pub allowed: String,
}

impl WordError {
    /// Always [`Kind::Invalid`].
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// One word of a closed vocabulary of at most 32 words.
pub trait Word: Copy + Ord + fmt::Debug + 'static {
    /// The name of the field that holds such a word.
    const FIELD: &'static str;
    /// Every word, in order.
    const ALL: &'static [Self];

    /// The word's text.
    fn as_str(self) -> &'static str;

    /// The word's place in [`Word::ALL`].
    fn index(self) -> u32;

    /// Reads a word, exactly as written.
    ///
    /// # Errors
    /// [`WordError`], which names the field, the value and the allowed words.
    fn parse(text: &str) -> Result<Self, WordError> {
        Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| WordError {
            field: Self::FIELD,
            value: text.chars().take(40).collect(),
            allowed: Self::ALL.iter().map(|w| w.as_str()).collect::<Vec<_>>().join(", "),
        })
    }
}

/// Declares a vocabulary: an enumeration whose order of variants is its order.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $field:literal {
        $($(#[$word_doc:meta])* $word:ident = $text:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $name {
            $($(#[$word_doc])* $word,)+
        }

        impl $crate::policy::word::Word for $name {
            const FIELD: &'static str = $field;
            const ALL: &'static [Self] = &[$(Self::$word,)+];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)+
                }
            }

            fn index(self) -> u32 {
                self as u32
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad($crate::policy::word::Word::as_str(*self))
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::policy::word::WordError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::policy::word::Word::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::policy::word::WordError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                $crate::policy::word::Word::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                $crate::policy::word::Word::as_str(word).to_owned()
            }
        }
    };
}
pub(crate) use words;

/// A set of words of one vocabulary; iterates in the vocabulary's order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WordSet<T> {
    bits: u32,
    of: PhantomData<T>,
}

impl<T> WordSet<T> {
    /// The set with no words.
    pub const EMPTY: Self = Self::from_bits(0);

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self { bits, of: PhantomData }
    }

    /// Whether the set has no words.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }
}

impl<T: Word> WordSet<T> {
    /// Every word of the vocabulary.
    #[must_use]
    pub fn all() -> Self {
        T::ALL.iter().copied().collect()
    }

    /// How many words.
    #[must_use]
    pub fn len(self) -> usize {
        self.bits.count_ones() as usize
    }

    /// Whether `word` is in the set.
    #[must_use]
    pub fn contains(self, word: T) -> bool {
        self.bits & (1 << word.index()) != 0
    }

    /// Adds a word.
    pub fn insert(&mut self, word: T) {
        self.bits |= 1 << word.index();
    }

    /// The words in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::from_bits(self.bits & other.bits)
    }

    /// The words in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self::from_bits(self.bits | other.bits)
    }

    /// The words here that are not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self::from_bits(self.bits & !other.bits)
    }

    /// Whether every word here is in `other`.
    #[must_use]
    pub fn is_subset(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    /// The words in order.
    pub fn iter(self) -> impl Iterator<Item = T> {
        T::ALL.iter().copied().filter(move |word| self.contains(*word))
    }

    /// The words' texts, joined.
    #[must_use]
    pub fn join(self, separator: &str) -> String {
        self.iter().map(Word::as_str).collect::<Vec<_>>().join(separator)
    }
}

impl<T> Default for WordSet<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T: Word> FromIterator<T> for WordSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(words: I) -> Self {
        let mut set = Self::EMPTY;
        for word in words {
            set.insert(word);
        }
        set
    }
}

impl<T: Word> fmt::Display for WordSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() { f.write_str("none") } else { f.write_str(&self.join(" ")) }
    }
}

impl<T: Word> fmt::Debug for WordSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.join(" "))
    }
}
