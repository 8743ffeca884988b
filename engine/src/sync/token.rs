//! Tokens that clients hold: sync tokens and pagination tokens. Opaque to clients, stable over restarts.

use std::{fmt, str::FromStr};

use storage::Position;

use crate::{Error, Result};

/// Where a client is: `s<position>_<ephemeral>`.
///
/// `position` is a place in the one log; `ephemeral` counts what lives in memory only (typing). The latter starts from
/// the clock at each start of the server, so that it never runs backwards either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyncToken {
    pub(crate) position: Position,
    pub(crate) ephemeral: i64,
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}_{}", self.position.get(), self.ephemeral)
    }
}

impl FromStr for SyncToken {
    type Err = Error;

    fn from_str(token: &str) -> Result<Self> {
        let parsed = token.strip_prefix('s').and_then(|rest| {
            let (position, ephemeral) = rest.split_once('_')?;
            Some(Self {
                position: Position(number(position)?),
                ephemeral: number(ephemeral)?,
            })
        });
        parsed.ok_or_else(|| {
            Error::InvalidParam("The sync token is not one of this server's".to_owned())
        })
    }
}

/// A place between two events of a room's timeline: everything up to and including `position` lies before it.
///
/// Written `t<position>`. Sync tokens are accepted as well, since clients page back from `prev_batch` and from
/// `next_batch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageToken(pub(crate) Position);

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0.get())
    }
}

impl FromStr for PageToken {
    type Err = Error;

    fn from_str(token: &str) -> Result<Self> {
        if let Some(position) = token.strip_prefix('t').and_then(number) {
            return Ok(Self(Position(position)));
        }
        token
            .parse::<SyncToken>()
            .map(|token| Self(token.position))
            .map_err(|_| {
                Error::InvalidParam("The pagination token is not one of this server's".to_owned())
            })
    }
}

/// Digits with an optional sign, and nothing else.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip_and_garbage_is_refused() {
        let token = SyncToken {
            position: Position(42),
            ephemeral: 7,
        };
        assert_eq!(token.to_string().parse::<SyncToken>().expect("ours"), token);
        assert_eq!(
            "s42_7"
                .parse::<PageToken>()
                .expect("a sync token pages too")
                .0,
            Position(42)
        );
        assert_eq!("t-3".parse::<PageToken>().expect("history").0, Position(-3));
        for garbage in [
            "",
            "s",
            "s1",
            "s_1",
            "t",
            "t+1",
            "s1_2_3",
            "t99999999999999999999",
            "sé_1",
            "t 1",
        ] {
            assert!(garbage.parse::<SyncToken>().is_err(), "{garbage}");
            assert!(garbage.parse::<PageToken>().is_err(), "{garbage}");
        }
    }
}
