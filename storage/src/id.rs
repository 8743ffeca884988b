//! Newtypes for what the database counts: rows and positions are never bare integers.

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            DeriveValueType,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// The integer as the database keeps it.
            #[must_use]
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id! {
    /// A room, by its row in `rooms`.
    RoomRow
}
row_id! {
    /// An event, by its row in `events`. Says nothing of its order in the room: that is its position.
    EventRow
}
row_id! {
    /// A pair of event type and state key, by its row in `state_keys`.
    StateKeyRow
}
row_id! {
    /// A state snapshot, by its row in `snapshots`.
    SnapshotRow
}
row_id! {
    /// A place in the one log of the server: strictly increasing in commit order.
    ///
    /// Zero is the position before the first; negative ones belong to history that was fetched
    /// later, and are never news.
    Position
}

impl Position {
    /// Before everything that was ever news.
    pub const ZERO: Self = Self(0);
    /// Before everything, history included.
    pub const MIN: Self = Self(i64::MIN);
    /// After everything.
    pub const MAX: Self = Self(i64::MAX);
}
