//! What a section is: a struct whose doc comments are the manual, whose keys are a list, and whose
//! values are checked while they are read. All three come from one place, so none can drift.

use super::raw::Raw;

/// A type that a key can have.
pub(crate) trait Setting: Sized {
    /// What a good value looks like, to follow the word "expected": `a size like "1 MiB"`.
    const EXPECTED: &'static str;

    /// The value, or `None` if `raw` is none of this type.
    fn read(raw: &Raw) -> Option<Self>;

    /// How a bad value is shown in the message. Secrets show less.
    fn shown(raw: &Raw) -> String {
        raw.to_string()
    }
}

/// Whether a key needs a value, and what stands in the example file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Presence {
    /// May be left out; this is then its value.
    Default(Raw),
    /// May be left out; this is only what a value looks like.
    Example(Raw),
    /// Must be given.
    Required(Raw),
}

/// What is known about one key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// The full name, with its section: `limits.max_body`.
    pub(crate) name: &'static str,
    /// The lines of its doc comment, each with its leading space.
    pub(crate) manual: &'static [&'static str],
    pub(crate) presence: Presence,
}

/// What is known about one section.
#[derive(Debug, Clone)]
pub(crate) struct Chapter {
    pub(crate) name: &'static str,
    pub(crate) manual: &'static [&'static str],
    pub(crate) keys: Vec<Key>,
}

/// Writes the struct of a section, its `chapter()` and its `read()`.
///
/// A key is `default` (with its default), `example` (may be left out: the field is an `Option`) or
/// `required`; the value after it is what the example file shows.
macro_rules! section {
    (
        $(#[doc = $manual:literal])+
        $section:literal $Name:ident {
            $(
                $(#[doc = $key_manual:literal])+
                $key:ident: $type:ty, $presence:ident $value:expr;
            )+
        }
    ) => {
        $(#[doc = $manual])+
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct $Name {
            $( $(#[doc = $key_manual])+ pub(crate) $key: $type, )+
        }

        impl $Name {
            /// The section's name, manual and keys.
            pub(crate) fn chapter() -> $crate::config::section::Chapter {
                use $crate::config::section::{Chapter, Key, presence};
                Chapter {
                    name: $section,
                    manual: &[$($manual),+],
                    keys: vec![
                        $(Key {
                            name: concat!($section, ".", stringify!($key)),
                            manual: &[$($key_manual),+],
                            presence: presence::$presence($value.into()),
                        }),+
                    ],
                }
            }

            /// The section as configured; what is wrong with it is noted in `source`.
            pub(crate) fn read(source: &mut $crate::config::source::Source) -> Self {
                Self {
                    $($key: source.$presence(
                        concat!($section, ".", stringify!($key)),
                        $value.into(),
                    )),+
                }
            }
        }
    };
}
pub(crate) use section;

/// [`Presence`] under the words that `section!` is written with.
pub(crate) mod presence {
    use super::{Presence, Raw};

    pub(crate) fn default(raw: Raw) -> Presence {
        Presence::Default(raw)
    }

    pub(crate) fn example(raw: Raw) -> Presence {
        Presence::Example(raw)
    }

    pub(crate) fn required(raw: Raw) -> Presence {
        Presence::Required(raw)
    }
}
