//! Pages of the list of public rooms, and their tokens.
//!
//! A token names the room at the edge of a page and how many members it had, so that the list goes on from there
//! whatever has changed before it.

use storage::{
    RoomRow,
    summaries::{Part, Place, Summary},
};

use crate::{Error, Result};

/// From where a page is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// From the start.
    Start,
    /// What follows.
    After(Place),
    /// What comes before.
    Before(Place),
}

/// A page with the tokens of its neighbours.
pub(super) struct Page {
    pub(super) rooms: Vec<Summary>,
    pub(super) next: Option<String>,
    pub(super) prev: Option<String>,
}

impl Since {
    /// # Errors
    /// [`Error::InvalidParam`]: this server has not made the token.
    pub(super) fn parse(token: &str) -> Result<Self> {
        let invalid = || Error::InvalidParam("`since` is not a token of this list".to_owned());
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<i64>().ok()).flatten()
        };
        let (direction, place) = token.split_at_checked(1).ok_or_else(invalid)?;
        let (joined, room) = place.split_once('_').ok_or_else(invalid)?;
        let place = Place {
            joined: number(joined).ok_or_else(invalid)?,
            room: RoomRow(number(room).ok_or_else(invalid)?),
        };
        match direction {
            "n" => Ok(Self::After(place)),
            "p" => Ok(Self::Before(place)),
            _ => Err(invalid()),
        }
    }

    fn token(self) -> Option<String> {
        match self {
            Self::Start => None,
            Self::After(place) => Some(format!("n{}_{}", place.joined, place.room)),
            Self::Before(place) => Some(format!("p{}_{}", place.joined, place.room)),
        }
    }

    pub(super) fn part(self) -> Part {
        match self {
            Self::Start => Part::First,
            Self::After(place) => Part::After(place),
            Self::Before(place) => Part::Before(place),
        }
    }

    /// The page of at most `limit` rooms out of what was found for it, of which one more may be there.
    pub(super) fn cut(self, mut found: Vec<Summary>, limit: usize) -> Page {
        let more = found.len() > limit;
        if let Self::Before(_) = self {
            found.drain(..found.len().saturating_sub(limit));
        } else {
            found.truncate(limit);
        }
        let place = |summary: &Summary| Place {
            joined: summary.joined,
            room: summary.room,
        };
        let (has_next, has_prev) = match self {
            Self::Start => (more, false),
            Self::After(_) => (more, true),
            Self::Before(_) => (true, more),
        };
        let next = found.last().filter(|_| has_next).map(place);
        let prev = found.first().filter(|_| has_prev).map(place);
        Page {
            next: next.and_then(|place| Self::After(place).token()),
            prev: prev.and_then(|place| Self::Before(place).token()),
            rooms: found,
        }
    }
}

#[cfg(test)]
mod tests {
    use storage::{RoomRow, summaries::Place};

    use super::Since;

    #[test]
    fn tokens_round_trip_and_garbage_is_refused() {
        let place = Place {
            joined: 12,
            room: RoomRow(345),
        };
        for since in [Since::After(place), Since::Before(place)] {
            let token = since.token().unwrap();
            assert_eq!(Since::parse(&token).unwrap(), since);
        }
        for token in [
            "",
            "n",
            "n1",
            "n_",
            "n1_",
            "n-1_2",
            "n1_2_3",
            "x1_2",
            "ä1_2",
            "n1_99999999999999999999",
        ] {
            assert!(Since::parse(token).is_err(), "{token}");
        }
    }
}
