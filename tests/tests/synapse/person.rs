//! Somebody with a client that is always on, and forgets nothing.

use std::{ops::Deref, time::Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Room, User, path::v3, synapse::PATIENCE, sync::Sync};

/// A user and all syncs so far.
pub(crate) struct Person {
    user: User,
    syncs: Vec<Sync>,
}

impl Deref for Person {
    type Target = User;

    fn deref(&self) -> &User {
        &self.user
    }
}

impl Person {
    pub(crate) fn new(user: User) -> Self {
        Self {
            user,
            syncs: Vec::new(),
        }
    }

    /// What is looked for, in a sync of the past or of the future. `what` is for the message.
    pub(crate) async fn sees<T>(&mut self, what: &str, look: impl Fn(&Sync) -> Option<T>) -> T {
        if let Some(found) = self.syncs.iter().rev().find_map(&look) {
            return found;
        }
        let since = Instant::now();
        loop {
            let mut syncing = self.user.syncs();
            if let Some(last) = self.syncs.last() {
                syncing = syncing.since(&last.next_batch()).timeout(5_000);
            }
            let sync = syncing.await;
            let found = look(&sync);
            self.syncs.push(sync);
            if let Some(found) = found {
                return found;
            }
            let id = &self.user.id;
            assert!(since.elapsed() < PATIENCE, "{id} never saw {what}");
        }
    }

    /// An event of the timeline of a room.
    pub(crate) async fn sees_event(&mut self, room: &Room, event: &str) -> Value {
        let what = format!("{event} of {}", room.id);
        self.sees(&what, |sync| sync.event(room, event).cloned())
            .await
    }

    /// Somebody's membership of a room becoming this; as an event of the timeline or of the state. What was seen
    /// before does not count.
    pub(crate) async fn sees_membership(
        &mut self,
        room: &Room,
        of: &str,
        membership: &str,
    ) -> Value {
        let what = format!("{membership} of {of} in {}", room.id);
        let fits = |event: &&Value| {
            event["type"] == "m.room.member"
                && event["state_key"] == of
                && event["content"]["membership"] == membership
        };
        let found = |sync: &Sync| {
            let lists = ["timeline", "state"].map(|list| sync.events(room, list));
            lists.into_iter().flatten().find(fits).cloned()
        };
        self.sees(&what, found).await
    }

    /// An invite to a room: its stripped state.
    pub(crate) async fn sees_invite(&mut self, room: &Room) -> Value {
        let what = format!("an invite to {}", room.id);
        self.sees(&what, |sync| sync.invited(room).cloned()).await
    }

    /// From now on only what is new counts.
    pub(crate) async fn forgets_the_past(&mut self) {
        let sync = match self.syncs.last() {
            Some(last) => self.user.syncs().since(&last.next_batch()).await,
            None => self.user.syncs().await,
        };
        let next_batch = json!({"next_batch": sync.next_batch()});
        self.syncs = vec![Sync(next_batch)];
    }

    /// Tries to join through another's server.
    pub(crate) async fn tries_to_join(&self, room: &Room, via: &Person) -> Answer {
        let joining = self
            .call(Method::POST, v3(&["join", &room.id]))
            .json(&json!({}));
        // `server_name` is what Synapse knew before it was `via`.
        joining
            .query("via", via.server_name())
            .query("server_name", via.server_name())
            .await
    }

    /// Joins through another's server.
    pub(crate) async fn joins_via(&self, room: &Room, via: &Person) {
        self.tries_to_join(room, via).await.ok();
    }

    /// Sets a piece of state without a state key, and returns the event's ID.
    pub(crate) async fn sets(&self, room: &Room, event_type: &str, content: &Value) -> String {
        self.sets_state(room, event_type, "", content)
            .await
            .ok()
            .event_id
    }
}
