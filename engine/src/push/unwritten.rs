//! What following the log has come to and is not written yet.
//!
//! Nobody waits for it, and each write takes the writer's time from messages. So it is gathered, and what takes the place
//! of something else is written once.

use std::{collections::BTreeMap, time::Duration};

use storage::{
    Plain, Position, RoomRow,
    notifications::{Notification, Reading},
};
use tokio::time::Instant;

/// For how long it may wait. A crash loses that much, and it is followed again.
const WAIT: Duration = Duration::from_millis(250);

/// How much of it may wait, in rows.
const ROWS_MAX: usize = 1_000;

/// Rows that wait to be written.
#[derive(Default)]
pub(super) struct Unwritten {
    /// Since when.
    since: Option<Instant>,
    /// Up to where the log has been followed.
    reached: Option<Position>,
    plain: Vec<Plain>,
    /// How far users have read, by user, room and thread; written after `plain`.
    readings: BTreeMap<(String, RoomRow, String), Reading>,
    notifications: Vec<Notification>,
}

impl Unwritten {
    /// Adds what following the log up to `reached` has come to.
    pub(super) fn add(
        &mut self,
        reached: Position,
        plain: Vec<Plain>,
        notifications: Vec<Notification>,
    ) {
        self.since.get_or_insert_with(Instant::now);
        self.reached = Some(reached);
        for plain in plain {
            self.add_plain(plain);
        }
        self.notifications.extend(notifications);
    }

    fn add_plain(&mut self, plain: Plain) {
        match plain {
            Plain::Readings(readings) => {
                for new in readings {
                    let key = (new.user_id.clone(), new.room, new.thread.clone());
                    let known = self.readings.entry(key).or_insert_with(|| new.clone());
                    known.position = known.position.max(new.position);
                }
                return;
            }
            // Both delete the readings before them, and may be written before those after them.
            Plain::ReadingBegins {
                ref user_id, room, ..
            }
            | Plain::ReadingEnds { ref user_id, room } => {
                let other = |user: &str, of: RoomRow| user != user_id.as_str() || of != room;
                self.readings.retain(|(user, of, _), _| other(user, *of));
            }
            Plain::NotificationsWithdrawn { room, position } => {
                let other = |row: &Notification| row.room != room || row.position != position;
                self.notifications.retain(other);
            }
            Plain::NotificationsPruned { room, before } => {
                let newer = |row: &Notification| row.room != room || row.position >= before;
                self.notifications.retain(newer);
            }
            _ => {}
        }
        self.plain.push(plain);
    }

    /// When it has to be written; `None` as long as there is nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.since? + WAIT)
    }

    /// Whether nothing more may be added before it is written.
    pub(super) fn is_full(&self) -> bool {
        self.plain.len() + self.readings.len() + self.notifications.len() >= ROWS_MAX
    }

    /// All of it, in the order in which it is to be written, with the position up to which the log has been followed. Empty
    /// if there is nothing.
    pub(super) fn take(&mut self) -> Vec<Plain> {
        let Self {
            reached,
            mut plain,
            readings,
            notifications,
            ..
        } = std::mem::take(self);
        if !readings.is_empty() {
            plain.push(Plain::Readings(readings.into_values().collect()));
        }
        if !notifications.is_empty() {
            plain.push(Plain::Notifications(notifications));
        }
        plain.extend(reached.map(Plain::NotificationsFloor));
        plain
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    const ROOM: RoomRow = RoomRow(1);

    fn read(position: i64) -> Plain {
        Plain::Readings(vec![Reading {
            user_id: "@alice:house".to_owned(),
            room: ROOM,
            thread: "main".to_owned(),
            position: Position(position),
            since: Position::ZERO,
        }])
    }

    fn notified(position: i64) -> Notification {
        Notification {
            room: ROOM,
            user_id: String::new(),
            position: Position(position),
            event: storage::EventRow(position),
            thread: "main".to_owned(),
            notify: 1,
            highlight: 0,
            actions: "[]".to_owned(),
            noted_ts: 0,
        }
    }

    #[test]
    fn what_takes_the_place_of_something_is_written_once() {
        let mut unwritten = Unwritten::default();
        assert!(unwritten.due().is_none());
        unwritten.add(Position(3), vec![read(3)], vec![notified(3)]);
        unwritten.add(Position(5), vec![read(5)], vec![notified(5)]);
        unwritten.add(Position(6), vec![read(4)], Vec::new());
        assert!(unwritten.due().is_some());
        let plain = unwritten.take();
        let [
            Plain::Readings(readings),
            Plain::Notifications(notified),
            Plain::NotificationsFloor(Position(6)),
        ] = &plain[..]
        else {
            panic!("{plain:?}");
        };
        assert_eq!(readings.len(), 1);
        assert_eq!(readings[0].position, Position(5));
        assert_eq!(notified.len(), 2);
        assert!(unwritten.due().is_none());
        assert!(unwritten.take().is_empty());
    }

    #[test]
    fn what_is_withdrawn_or_begun_anew_takes_with_it_what_was_before() {
        let user_id = user_id!("@alice:house").to_owned();
        let mut unwritten = Unwritten::default();
        unwritten.add(Position(2), vec![read(2)], vec![notified(1), notified(2)]);
        let withdrawn = Plain::NotificationsWithdrawn {
            room: ROOM,
            position: Position(2),
        };
        let ends = Plain::ReadingEnds {
            user_id,
            room: ROOM,
        };
        unwritten.add(Position(4), vec![withdrawn, ends], Vec::new());
        let plain = unwritten.take();
        let [
            Plain::NotificationsWithdrawn { .. },
            Plain::ReadingEnds { .. },
            Plain::Notifications(notified),
            Plain::NotificationsFloor(Position(4)),
        ] = &plain[..]
        else {
            panic!("{plain:?}");
        };
        assert_eq!(notified.len(), 1);
    }

    #[test]
    fn there_may_be_only_so_much_of_it() {
        let mut unwritten = Unwritten::default();
        let many = (0..1_000).map(notified).collect();
        unwritten.add(Position(1_000), Vec::new(), many);
        assert!(unwritten.is_full());
    }
}
