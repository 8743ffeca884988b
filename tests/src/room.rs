//! A room, and how one is made.

use std::{future::Future, pin::Pin};

use serde_json::{Value, json};

use crate::{Call, User};

/// A room that exists.
#[derive(Clone, Debug)]
pub struct Room {
    /// `!…`.
    pub id: String,
}

/// A room that is not made yet; awaiting it makes it.
#[must_use = "a room is made when it is awaited"]
pub struct RoomBuilder<'a> {
    creator: &'a User,
    members: Vec<&'a User>,
    options: Value,
}

impl<'a> RoomBuilder<'a> {
    pub(crate) fn new(creator: &'a User) -> Self {
        Self {
            creator,
            members: Vec::new(),
            options: json!({"preset": "private_chat"}),
        }
    }

    /// These users are invited, and join.
    pub fn with<const N: usize>(mut self, members: [&'a User; N]) -> Self {
        self.members.extend(members);
        self
    }

    /// Everybody may join.
    pub fn public(self) -> Self {
        self.option("preset", json!("public_chat"))
    }

    /// Of this room version.
    pub fn version(self, version: &str) -> Self {
        self.option("room_version", json!(version))
    }

    /// Who may read what, from the beginning.
    pub fn visibility(self, history: &str) -> Self {
        let event = json!({"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": history}});
        self.option("initial_state", json!([event]))
    }

    /// Any option of `createRoom`.
    pub fn option(mut self, key: &str, value: Value) -> Self {
        self.options[key] = value;
        self
    }

    /// Only the request.
    pub fn call(&self) -> Call {
        self.creator
            .post("/_matrix/client/v3/createRoom", &self.options)
    }
}

impl<'a> IntoFuture for RoomBuilder<'a> {
    type Output = Room;
    type IntoFuture = Pin<Box<dyn Future<Output = Room> + Send + 'a>>;

    fn into_future(mut self) -> Self::IntoFuture {
        if !self.members.is_empty() && self.options["preset"] != "public_chat" {
            self.options["invite"] = self.members.iter().map(|user| user.id.clone()).collect();
        }
        Box::pin(async move {
            let room = Room::of(&self.call().await.ok());
            for member in &self.members {
                member.joins(&room).await.ok();
            }
            room
        })
    }
}

impl Room {
    /// The room that an answer names.
    ///
    /// # Panics
    /// If it names none.
    #[must_use]
    pub fn of(answer: &Value) -> Self {
        Self {
            id: answer["room_id"]
                .as_str()
                .unwrap_or_else(|| panic!("no room in {answer}"))
                .to_owned(),
        }
    }
}
