//! When an e-mail is due: after a while, so that nobody gets one who reads in time; and about a room that goes on without its
//! reader not again before a day is over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use storage::RoomRow;

/// How much longer a room is kept silent about after each further e-mail, as a factor.
const LONGER: i64 = 144;

/// How long it is at most, in ms.
const SILENT_MS_MAX: i64 = 24 * 3_600_000;

/// After how long without a notification a room begins anew, in ms.
const QUIET_MS: i64 = 12 * 3_600_000;

/// Of how many rooms it is remembered; those that were told of last stay.
const ROOMS_MAX: usize = 1_000;

/// A notification that was not told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) room: RoomRow,
    /// When it became known, in ms.
    pub(super) noted_ts: i64,
}

/// What is to be done about what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, until something happens.
    Nothing,
    /// To look again then, in ms.
    At(i64),
    /// An e-mail about all of it.
    Now,
}

/// What one reader was told of a room.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Told {
    /// When, in ms.
    sent_ts: i64,
    /// How long nothing more is told from then on, in ms.
    silent_ms: i64,
    /// When the last of what was told became known, in ms.
    noted_ts: i64,
}

/// What one reader was told lately, by room.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Silence(BTreeMap<i64, Told>);

impl Silence {
    /// As it was written; what cannot be read counts as nothing.
    pub(super) fn read(stored: Option<&str>) -> Self {
        stored
            .and_then(|stored| serde_json::from_str(stored).ok())
            .unwrap_or_default()
    }

    /// In the form in which it is kept.
    pub(super) fn write(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// What is to be done at `now_ms` about what waits, if an e-mail waits for `delay_ms`.
    pub(super) fn next(&self, waiting: &[Waiting], delay_ms: i64, now_ms: i64) -> Next {
        let due = waiting.iter().map(|one| self.due(*one, delay_ms)).min();
        match due {
            None => Next::Nothing,
            Some(due) if due <= now_ms => Next::Now,
            // What comes in the meantime may be due earlier, but not before its own delay.
            Some(due) => Next::At(due.min(now_ms.saturating_add(delay_ms))),
        }
    }

    fn due(&self, waiting: Waiting, delay_ms: i64) -> i64 {
        let ready = waiting.noted_ts.saturating_add(delay_ms);
        match self.0.get(&waiting.room.get()) {
            Some(told) if !told.is_over(waiting.noted_ts) => {
                ready.max(told.sent_ts.saturating_add(told.silent_ms))
            }
            _ => ready,
        }
    }

    /// Notes that an e-mail about all of this was sent.
    pub(super) fn sent(&mut self, waiting: &[Waiting], delay_ms: i64, now_ms: i64) {
        let mut rooms: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for one in waiting {
            let room = rooms.entry(one.room.get());
            let (first, last) = room.or_insert((one.noted_ts, one.noted_ts));
            (*first, *last) = ((*first).min(one.noted_ts), (*last).max(one.noted_ts));
        }
        for (room, (first, last)) in rooms {
            let before = self.0.get(&room).filter(|told| !told.is_over(first));
            let silent_ms = before.map_or(delay_ms, |told| {
                told.silent_ms.saturating_mul(LONGER).min(SILENT_MS_MAX)
            });
            let told = Told {
                sent_ts: now_ms,
                silent_ms,
                noted_ts: last,
            };
            self.0.insert(room, told);
        }
        self.0
            .retain(|_, told| now_ms.saturating_sub(told.sent_ts) <= SILENT_MS_MAX + QUIET_MS);
        while self.0.len() > ROOMS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, told)| told.sent_ts);
            let Some(oldest) = oldest.map(|(room, _)| *room) else {
                break;
            };
            self.0.remove(&oldest);
        }
    }
}

impl Told {
    /// Whether a notification at `noted_ts` came after so long a pause that the room begins anew.
    fn is_over(self, noted_ts: i64) -> bool {
        noted_ts.saturating_sub(self.noted_ts) > QUIET_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const DELAY: i64 = 10 * MINUTE;

    fn in_room(room: i64, noted_ts: i64) -> Waiting {
        Waiting {
            room: RoomRow(room),
            noted_ts,
        }
    }

    #[test]
    fn an_email_waits_and_then_tells_all() {
        let silence = Silence::default();
        assert_eq!(silence.next(&[], DELAY, 0), Next::Nothing);
        let waiting = [in_room(1, 0), in_room(2, 9 * MINUTE)];
        assert_eq!(silence.next(&waiting, DELAY, 9 * MINUTE), Next::At(DELAY));
        assert_eq!(silence.next(&waiting, DELAY, DELAY), Next::Now);
    }

    #[test]
    fn a_room_that_goes_on_is_told_of_once_a_day_and_others_are_not_held_up() {
        let mut silence = Silence::default();
        let mut now = DELAY;
        silence.sent(&[in_room(1, 0)], DELAY, now);
        let again = in_room(1, now);
        assert_eq!(silence.next(&[again], DELAY, now), Next::At(now + DELAY));
        now += DELAY;
        assert_eq!(silence.next(&[again], DELAY, now), Next::Now);
        silence.sent(&[again], DELAY, now);
        // From now on a day.
        let third = in_room(1, now + MINUTE);
        for hours in [1, 6, 23] {
            let at = now + hours * HOUR;
            assert_eq!(
                silence.next(&[third], DELAY, at),
                Next::At((at + DELAY).min(now + 24 * HOUR))
            );
        }
        let other = in_room(2, now + HOUR);
        assert_eq!(
            silence.next(&[third, other], DELAY, now + HOUR + DELAY),
            Next::Now
        );
        assert_eq!(silence.next(&[third], DELAY, now + 24 * HOUR), Next::Now);
    }

    #[test]
    fn a_room_that_was_quiet_for_half_a_day_begins_anew() {
        let mut silence = Silence::default();
        silence.sent(&[in_room(1, 0)], DELAY, DELAY);
        silence.sent(&[in_room(1, DELAY)], DELAY, 2 * DELAY);
        let kept = silence.write().expect("it can be written");
        let silence = Silence::read(Some(&kept));
        let later = in_room(1, DELAY + 13 * HOUR);
        let due = later.noted_ts + DELAY;
        assert_eq!(silence.next(&[later], DELAY, due), Next::Now);
        assert!(Silence::read(Some("damaged")).0.is_empty());
    }
}
