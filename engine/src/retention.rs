//! What is not kept for ever: messages, as long as the room and the operator say (MSC1763) or they say themselves (MSC2228),
//! and rooms that nobody here wants to see any more.
//!
//! A message that has had its time is hidden from clients at once, and deleted later, in steps. State is kept: the room needs
//! it. So is the last event, upon which the next one builds. The same rounds forget connections of sliding sync that nobody
//! has used for long.

mod forgotten;
mod messages;

use std::time::Duration;

use spec::json::{Object, Value};
use storage::purges::{self, Lifetime};

use crate::{Engine, Error, Result, rooms::RoomHandle};

/// How long between two looks for what is to be deleted.
const ROUND: Duration = Duration::from_secs(600);

/// What the operator decides about how long things are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Whether messages are deleted at all, and rooms may say when.
    pub messages: bool,
    /// How long messages are kept in rooms that say nothing, in ms; `None`: for ever.
    pub default_ms: Option<i64>,
    /// The shortest time that rooms may ask for, in ms.
    pub min_ms: Option<i64>,
    /// The longest time that rooms may ask for, in ms.
    pub max_ms: Option<i64>,
    /// How long a room is kept after the last user of this server has forgotten it, in ms; `None`: for ever.
    pub forgotten_rooms_ms: Option<i64>,
}

impl RetentionSettings {
    /// How long messages are kept in a room that says this, in ms; `None`: for ever. What the operator allows counts more than
    /// what the room asks for.
    fn lifetime_ms(&self, own: Lifetime) -> Option<i64> {
        if !self.messages {
            return None;
        }
        let lifetime = own.max_ms.or(self.default_ms)?;
        let lifetime = lifetime.max(own.min_ms.unwrap_or(0));
        let lifetime = lifetime.max(self.min_ms.unwrap_or(0));
        Some(lifetime.min(self.max_ms.unwrap_or(i64::MAX)))
    }
}

impl Engine {
    /// Deletes what has had its time, now and then. Never returns; to be run in the background.
    pub async fn run_retention(&self) {
        loop {
            if let Err(error) = self.expire_messages().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old messages wait for the next round"
                );
            }
            if let Err(error) = self.expire_self_destructing().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "messages that are to go wait for the next round"
                );
            }
            if let Err(error) = self.purge_forgotten().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "forgotten rooms wait for the next round"
                );
            }
            if let Err(error) = self.context.connections.expire().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old connections wait for the next round"
                );
            }
            tokio::time::sleep(ROUND).await;
        }
    }
}

impl RoomHandle {
    /// Messages from before this time, in ms, are no longer shown; `None`: all are. One look-up, if messages are ever deleted.
    pub(crate) async fn shown_from_ts(&self) -> Result<Option<i64>> {
        let context = &self.context;
        if !context.retention.messages {
            return Ok(None);
        }
        let own = purges::lifetime(context.store.reader(), self.meta.row).await?;
        let lifetime = context.retention.lifetime_ms(own);
        Ok(lifetime.map(|lifetime| context.clock.now_ms().saturating_sub(lifetime)))
    }
}

/// What a room says of how long messages are kept. What is no number of milliseconds says nothing.
pub(crate) fn lifetime(content: &Object) -> Lifetime {
    let ms = |key| content.get(key).and_then(Value::as_i64);
    Lifetime {
        min_ms: ms("min_lifetime").filter(|ms| *ms >= 0),
        max_ms: ms("max_lifetime").filter(|ms| *ms > 0),
    }
}

/// Refuses what no room can mean.
///
/// # Errors
/// [`Error::BadJson`].
pub(crate) fn check(content: &Object) -> Result<()> {
    let said = lifetime(content);
    for (key, read) in [("min_lifetime", said.min_ms), ("max_lifetime", said.max_ms)] {
        if content.get(key).is_some() && read.is_none() {
            let sentence = format!("`{key}` is a number of milliseconds above zero");
            return Err(Error::BadJson(sentence));
        }
    }
    match (said.min_ms, said.max_ms) {
        (Some(min), Some(max)) if min > max => Err(Error::BadJson(
            "`min_lifetime` cannot be above `max_lifetime`".to_owned(),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MSC1763, "Server-defined" policies: the operator's bounds count more.
    #[test]
    fn the_operator_bounds_what_a_room_asks_for() {
        let settings = RetentionSettings {
            messages: true,
            default_ms: Some(50),
            min_ms: Some(10),
            max_ms: Some(100),
            forgotten_rooms_ms: None,
        };
        for (min_ms, max_ms, expected) in [
            (None, None, 50),
            (None, Some(70), 70),
            (None, Some(1), 10),
            (None, Some(1_000), 100),
            (Some(60), None, 60),
            (Some(1_000), None, 100),
        ] {
            let own = Lifetime { min_ms, max_ms };
            assert_eq!(settings.lifetime_ms(own), Some(expected), "{own:?}");
        }
        let own = Lifetime {
            min_ms: None,
            max_ms: Some(70),
        };
        let off = RetentionSettings {
            messages: false,
            ..settings
        };
        assert_eq!(off.lifetime_ms(own), None);
        let without = RetentionSettings {
            default_ms: None,
            ..settings
        };
        assert_eq!(without.lifetime_ms(Lifetime::default()), None);
    }
}
