//! Tokens that clients hold: sync tokens and pagination tokens. Opaque to clients, stable over restarts.

use std::{fmt, str::FromStr};

use storage::{Position, timeline::Spot};

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

impl SyncToken {
    /// Whether a client at `other` has all that there was up to this token.
    pub(crate) fn is_reached_by(self, other: Self) -> bool {
        self.position <= other.position && self.ephemeral <= other.ephemeral
    }
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
            let position = Position(number(position)?);
            (position >= Position::ZERO).then_some(())?;
            Some(Self {
                position,
                ephemeral: number(ephemeral)?,
            })
        });
        parsed.ok_or_else(|| {
            Error::InvalidParam("The sync token is not one of this server's".to_owned())
        })
    }
}

/// A place between two events of a room's timeline.
///
/// Written `t<position>` among what was news, `h<anchor>_<rank>_<position>` in the history in front of it. Tokens of both
/// kinds of sync are accepted as well, since clients page back from `prev_batch` and from `next_batch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageToken {
    /// Right behind the news up to and including this position. What was missing before the next news lies on both sides,
    /// so that whoever goes there from here meets it.
    News(Position),
    /// Right behind this spot.
    History(Spot),
}

impl PageToken {
    /// Right behind a spot.
    pub(crate) fn behind(spot: Spot) -> Self {
        if spot.is_history() {
            Self::History(spot)
        } else {
            Self::News(spot.position)
        }
    }

    /// Right before a spot.
    pub(crate) fn before(spot: Spot) -> Self {
        Self::behind(spot.just_before())
    }

    /// The last spot before the token.
    pub(crate) fn last_before(self) -> Spot {
        match self {
            Self::News(position) => {
                Spot::news(Position(position.get().saturating_add(1))).just_before()
            }
            Self::History(spot) => spot,
        }
    }

    /// What comes after the token comes after this spot.
    pub(crate) fn behind_which(self) -> Spot {
        match self {
            Self::News(position) => Spot::news(position),
            Self::History(spot) => spot,
        }
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::News(position) => write!(f, "t{}", position.get()),
            Self::History(spot) => {
                let (anchor, position) = (spot.anchor.get(), spot.position.get());
                write!(f, "h{anchor}_{}_{position}", spot.rank)
            }
        }
    }
}

impl FromStr for PageToken {
    type Err = Error;

    fn from_str(token: &str) -> Result<Self> {
        if let Some(position) = token.strip_prefix('t').and_then(number) {
            return Ok(Self::News(Position(position)));
        }
        if let Some(spot) = token.strip_prefix('h').and_then(spot) {
            return Ok(Self::History(spot));
        }
        if let Some(position) = super::sliding::position_of(token) {
            return Ok(Self::News(position));
        }
        token
            .parse::<SyncToken>()
            .map(|token| Self::News(token.position))
            .map_err(|_| {
                Error::InvalidParam("The pagination token is not one of this server's".to_owned())
            })
    }
}

/// `<anchor>_<rank>_<position>` of history.
fn spot(text: &str) -> Option<Spot> {
    let (anchor, rest) = text.split_once('_')?;
    let (rank, position) = rest.split_once('_')?;
    let spot = Spot {
        anchor: Position(number(anchor)?),
        rank: number(rank)?,
        position: Position(number(position)?),
    };
    spot.is_history().then_some(spot)
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
                .expect("a sync token pages too"),
            PageToken::News(Position(42))
        );
        let spot = Spot {
            anchor: Position(7),
            rank: -5,
            position: Position(-3),
        };
        for (text, token) in [
            ("t3", PageToken::News(Position(3))),
            ("h7_-5_-3", PageToken::History(spot)),
        ] {
            assert_eq!(token.to_string(), text);
            assert_eq!(text.parse::<PageToken>().expect("ours"), token);
        }
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
            "h1_2",
            "h1_2_3_4",
            "h_1_2",
            "h1_9223372036854775807_1",
        ] {
            assert!(garbage.parse::<SyncToken>().is_err(), "{garbage}");
            assert!(garbage.parse::<PageToken>().is_err(), "{garbage}");
        }
    }
}
