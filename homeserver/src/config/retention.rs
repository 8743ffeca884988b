//! Section `retention`: how long things are kept.

use std::time::Duration;

use super::problem::Problem;
use super::section::section;
use super::source::Source;

section! {
    /// How long messages are kept, and rooms that nobody here wants to see any more. What is deleted is gone for good.
    "retention" Retention {
        /// Whether old messages are deleted. Rooms say when, by a state event "m.room.retention" (MSC1763), and messages
        /// may say it of themselves (MSC2228).
        messages: bool, default false;

        /// How long messages are kept in rooms that do not say it. Left out, they are kept for ever.
        default: Option<Duration>, example "365 d";

        /// The shortest time that rooms may ask for: a shorter one counts as this.
        min: Option<Duration>, example "1 d";

        /// The longest time that rooms may ask for: a longer one counts as this.
        max: Option<Duration>, example "3650 d";

        /// How long a room is kept after the last of your users has left and forgotten it. Left out, it is kept for ever.
        forgotten_rooms: Option<Duration>, example "28 d";
    }
}

/// The shortest time cannot be above the longest.
pub(super) fn check(retention: &Retention, source: &mut Source) {
    if let (Some(min), Some(max)) = (retention.min, retention.max)
        && min > max
    {
        source.note(Problem::of("retention.min", "is above retention.max"));
    }
}
