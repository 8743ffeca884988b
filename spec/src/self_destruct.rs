//! Messages that say themselves when they are to go: MSC2228.

use crate::event::Event;

/// The keys that say it: that of the proposal, and the one that is in use.
const KEYS: [&str; 2] = ["m.self_destruct_after", "org.matrix.self_destruct_after"];

/// When a message is to go, in milliseconds since the epoch, by its own word. State stays: the room needs it.
pub fn due_ts(event: &Event) -> Option<i64> {
    if event.is_state() {
        return None;
    }
    let content = event.content();
    KEYS.iter().find_map(|key| content.get(*key)?.as_i64())
}
