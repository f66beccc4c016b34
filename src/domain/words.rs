//! One definition per closed set of words: the enum, its spelling and the way back.

/// A spelling that none of a closed set of words has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    /// What was being read, for example `failure kind`.
    pub what: &'static str,
    /// The spelling that was given.
    pub given: String,
    /// The spellings that exist, in their order of definition.
    pub known: &'static [&'static str],
}

impl std::fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown {} \"{}\": one of {}", self.what, self.given, self.known.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

/// Defines an enum together with the one spelling that the API, the store and the logs use.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident ($what:literal) { $( $(#[$vmeta:meta])* $variant:ident = $word:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[$vmeta])* $variant, )+ }

        impl $name {
            /// Every value, in order of definition.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];
            const WORDS: &'static [&'static str] = &[ $( $word, )+ ];

            /// The spelling used by the API, the store and the logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownWord;
            fn from_str(given: &str) -> Result<Self, Self::Err> {
                match given {
                    $( $word => Ok(Self::$variant), )+
                    _ => Err($crate::domain::UnknownWord {
                        what: $what, given: given.to_owned(), known: Self::WORDS,
                    }),
                }
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::domain::{FailureKind, Outcome};

    #[test]
    fn every_word_reads_back_as_itself() {
        for kind in FailureKind::ALL {
            assert_eq!(kind.as_str().parse::<FailureKind>().as_ref(), Ok(kind));
        }
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse::<Outcome>().as_ref(), Ok(outcome));
        }
    }

    #[test]
    fn an_unknown_word_names_what_is_known() {
        let err = "rate-limit".parse::<FailureKind>().unwrap_err();
        assert!(err.to_string().starts_with("unknown failure kind \"rate-limit\": one of rate_limit, auth"));
    }
}
