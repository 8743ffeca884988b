//! Where a search goes on: `f<before>_<skip>_<count>`.

use std::{fmt, str::FromStr};

use super::COUNT_MAX;
use crate::{Error, Result};

/// A place among the matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The window begins before this moment.
    pub(super) before: i64,
    /// How many matches of the window were looked at.
    pub(super) skip: usize,
    /// How many matches the first page has counted. The client's word is good enough for it, as it is for that client alone.
    pub(super) count: usize,
}

impl Cursor {
    /// Before all matches.
    pub(super) const NEWEST: Self = Self {
        before: i64::MAX,
        skip: 0,
        count: 0,
    };

    /// Right before a moment.
    pub(super) const fn behind(self, before: i64) -> Self {
        Self {
            before,
            skip: 0,
            ..self
        }
    }

    /// How many matches there are about.
    pub(super) fn count(self) -> i64 {
        i64::try_from(self.count).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{}_{}_{}", self.before, self.skip, self.count)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(token: &str) -> Result<Self> {
        let parsed = token.strip_prefix('f').and_then(|rest| {
            let mut parts = rest.splitn(3, '_');
            Some(Self {
                before: parts.next()?.parse().ok()?,
                skip: parts.next()?.parse().ok()?,
                count: parts.next()?.parse().ok()?,
            })
        });
        let parsed = parsed.filter(|cursor| cursor.count <= COUNT_MAX);
        parsed.ok_or_else(|| {
            Error::InvalidParam("The token is not one of this server's searches".to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_server_has_not_written_is_no_cursor() {
        let cursor = Cursor {
            before: -5,
            skip: 7,
            count: 1_000,
        };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for token in [
            "f1_2_1001",
            "f1_2_-1",
            "f1_2",
            "f1_-2_3",
            "f1_2_3_4",
            "f__",
            "t1_2_3",
            "",
        ] {
            assert!(token.parse::<Cursor>().is_err(), "{token}");
        }
    }
}
