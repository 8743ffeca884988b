//! Which pushes the client has not acknowledged: `spec/api/extensions/websocket.md`, "Flow".

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How many pushes may be unacknowledged. Some, so that a client on a slow line gets news without waiting for its own
/// acknowledgement to travel; few, since they are what is repeated after a lost connection.
const PUSHES_MAX: usize = 8;
/// How long the oldest push may stay unacknowledged.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pushes on their way, oldest first. An empty push is never among them, nor is the same `next_batch` twice in a row.
#[derive(Debug, Default)]
pub(super) struct Window {
    pushes: VecDeque<(String, Instant)>,
}

impl Window {
    /// Whether there is room for another push.
    pub(super) fn is_open(&self) -> bool {
        self.pushes.len() < PUSHES_MAX
    }

    /// Whether a push with this token waits for its acknowledgement.
    pub(super) fn has(&self, next_batch: &str) -> bool {
        self.pushes.iter().any(|(waiting, _)| waiting == next_batch)
    }

    /// Remembers a push.
    pub(super) fn push(&mut self, next_batch: &str, now: Instant) {
        self.pushes.push_back((next_batch.to_owned(), now));
    }

    /// Takes out this push and all before it. `false` if there is none with this token.
    pub(super) fn acknowledge(&mut self, next_batch: &str) -> bool {
        let found = self
            .pushes
            .iter()
            .rposition(|(waiting, _)| waiting == next_batch);
        if let Some(last) = found {
            self.pushes.drain(..=last);
        }
        found.is_some()
    }

    /// When the client's time is up; `None` while nothing waits for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pushes.front().map(|(_, pushed)| *pushed + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{PUSHES_MAX, Window};

    #[test]
    fn an_acknowledgement_covers_all_before_it() {
        let (mut window, now) = (Window::default(), Instant::now());
        assert!(window.deadline().is_none());
        for push in 0..PUSHES_MAX {
            assert!(window.is_open());
            window.push(&format!("s{push}"), now);
        }
        assert!(!window.is_open());
        assert!(!window.acknowledge("s99"));
        assert!(window.acknowledge("s2"));
        assert!(!window.acknowledge("s1"), "it is acknowledged already");
        assert!(window.is_open());
        assert!(window.acknowledge(&format!("s{}", PUSHES_MAX - 1)));
        assert!(window.deadline().is_none());
    }
}
