//! Where a search goes on: `f<before>_<skip>`.

use std::{fmt, str::FromStr};

use crate::{Error, Result};

/// A place among the matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The window begins before this moment.
    pub(super) before: i64,
    /// How many matches of the window were looked at.
    pub(super) skip: usize,
}

impl Cursor {
    /// Before all matches.
    pub(super) const NEWEST: Self = Self::behind(i64::MAX);

    /// Right before a moment.
    pub(super) const fn behind(before: i64) -> Self {
        Self { before, skip: 0 }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{}_{}", self.before, self.skip)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(token: &str) -> Result<Self> {
        let parsed = token.strip_prefix('f').and_then(|rest| {
            let (before, skip) = rest.split_once('_')?;
            Some(Self {
                before: before.parse().ok()?,
                skip: skip.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| {
            Error::InvalidParam("The token is not one of this server's searches".to_owned())
        })
    }
}
