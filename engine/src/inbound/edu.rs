//! Ephemeral news of another server: server-server API, "EDUs".

use std::time::Duration;

use ruma::{EventId, RoomId, ServerName, UserId};
use spec::{
    json::{Object, Value},
    name::may_be_surfaced,
};
use storage::write::NewReceipt;

use super::Inbound;
use crate::{Result, rooms::RoomHandle};

/// How long somebody of another server is shown as typing without further news. Servers repeat it every 25 to 40 seconds.
const TYPING: Duration = Duration::from_secs(60);

/// How many rooms one event of receipts may speak of; the rest is left out. Servers send one for each room.
const ROOMS_MAX: usize = 100;

/// How many receipts of one room it may bring.
const RECEIPTS_MAX: usize = 500;

impl Inbound {
    /// Takes in ephemeral news. What is unknown, malformed or about users of other servers is left out.
    pub async fn edus(&self, origin: &ServerName, edus: Vec<Object>) {
        for edu in edus {
            let content = edu.get("content").and_then(Value::as_object);
            let (Some(kind), Some(content)) =
                (edu.get("edu_type").and_then(Value::as_str), content)
            else {
                continue;
            };
            let taken = match kind {
                "m.typing" => self.typing(origin, content).await,
                "m.receipt" => self.receipts(origin, content).await,
                "m.presence" => self.presence(origin, content).await,
                _ => Ok(()),
            };
            if let Err(error) = taken {
                tracing::debug!(%origin, kind, %error, "ephemeral news is left out");
            }
        }
    }

    async fn typing(&self, origin: &ServerName, content: &Object) -> Result<()> {
        let text = |key: &str| content.get(key).and_then(Value::as_str).unwrap_or_default();
        let (Ok(room), Ok(user)) = (
            RoomId::parse(text("room_id")),
            UserId::parse(text("user_id")),
        ) else {
            return Ok(());
        };
        if user.server_name() != origin || !may_be_surfaced(&user) {
            return Ok(());
        }
        let room = self.shared_room(origin, &room).await?;
        if !room.is_joined(&user).await? {
            return Ok(());
        }
        if content.get("typing").and_then(Value::as_bool) == Some(true) {
            room.context.typing.start(room.meta.row, &user, TYPING);
        } else {
            room.context.typing.stop(room.meta.row, &user);
        }
        Ok(())
    }

    /// `room → m.read → user → {event_ids, data}`. Other kinds do not travel.
    async fn receipts(&self, origin: &ServerName, content: &Object) -> Result<()> {
        for (room, kinds) in content.iter().take(ROOMS_MAX) {
            let Ok(room) = RoomId::parse(room) else {
                continue;
            };
            let Ok(room) = self.shared_room(origin, &room).await else {
                continue;
            };
            let read = kinds.get("m.read").and_then(Value::as_object);
            let receipts: Vec<NewReceipt> = read
                .into_iter()
                .flatten()
                .take(RECEIPTS_MAX)
                .filter_map(|(user, read)| receipt(origin, &room, user, read))
                .collect();
            room.take_receipts(receipts).await?;
        }
        Ok(())
    }
}

/// One user's receipt.
fn receipt(origin: &ServerName, room: &RoomHandle, user: &str, read: &Value) -> Option<NewReceipt> {
    let user_id = UserId::parse(user)
        .ok()
        .filter(|user| user.server_name() == origin && may_be_surfaced(user))?;
    let event_id = EventId::parse(read.get("event_ids")?.as_array()?.first()?.as_str()?).ok()?;
    let data = read.get("data").and_then(Value::as_object);
    let thread_id = data
        .and_then(|data| data.get("thread_id")?.as_str())
        .unwrap_or_default();
    let is_thread = matches!(thread_id, "" | "main") || EventId::parse(thread_id).is_ok();
    let now_ms = room.context.clock.now_ms();
    let ts = data.and_then(|data| data.get("ts")?.as_i64());
    is_thread.then(|| NewReceipt {
        room: room.meta.row,
        room_id: room.meta.id.clone(),
        user_id,
        kind: "m.read".to_owned(),
        thread_id: thread_id.to_owned(),
        event_id,
        // A clock that is ahead would make all later receipts look old.
        ts: ts.unwrap_or(now_ms).clamp(0, now_ms),
    })
}
