//! A room with its children as one server tells it: server-server API, "Spaces".

use std::{collections::HashSet, sync::Arc};

use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName, room::RoomSummary};
use spec::json::{Object, Strictness, Value, encode, parse_object};

use super::{
    Node,
    child::{CHILDREN_MAX, Child, in_order},
    viewer::Viewer,
};
use crate::{Error, Result, Subject, peers::PeerError, rooms::Rooms};

/// How long an answer is good, in milliseconds.
const LIFETIME_MS: i64 = 5 * 60_000;
/// How long an answer is good that keeps rooms from us, in milliseconds: as soon as one of our users is let in somewhere it
/// may be another.
const BARRED_LIFETIME_MS: i64 = 10_000;
/// How long a server that gave none is left alone with that room, in milliseconds.
const SILENCE_MS: i64 = 60_000;
/// How many servers are asked for one room.
const SERVERS_MAX: usize = 3;
/// The most children that are told to another server.
const TOLD_MAX: usize = 100;

/// A room with its children.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(super) room: Node,
    /// What those children show that the asking server may see.
    pub(super) children: Vec<RoomSummary>,
    /// The children that it may not see.
    pub(super) inaccessible: Vec<OwnedRoomId>,
}

impl Branch {
    /// The branch of `room` in an answer; `None` if it is not there. Children that the room does not name are left out.
    pub(super) fn parse(room: &RoomId, answer: &Object) -> Option<Self> {
        let object = answer.get("room")?.as_object()?;
        let summary = summary(object).filter(|summary| summary.room_id == room)?;
        let links = object.get("children_state").and_then(Value::as_array);
        let links = links.unwrap_or_default().iter();
        let links = links.filter_map(|link| Child::parse(link.as_object()?.clone()));
        let links = in_order(links.take(CHILDREN_MAX).collect());
        let named: HashSet<&RoomId> = links.iter().map(|link| &*link.room_id).collect();
        let list = |key: &str| {
            let list = answer.get(key).and_then(Value::as_array);
            list.unwrap_or_default().iter().take(CHILDREN_MAX)
        };
        let children = list("children")
            .filter_map(|child| summary_of(child.as_object()?, &named))
            .collect();
        let inaccessible = list("inaccessible_children")
            .filter_map(|room| RoomId::parse(room.as_str()?).ok())
            .filter(|room| named.contains(&**room))
            .collect();
        Some(Self {
            children,
            inaccessible,
            room: Node {
                summary,
                children: links,
            },
        })
    }

    /// The branch as it travels.
    fn into_object(self) -> Object {
        let links = self.room.children.into_iter();
        let links = links.map(|link| Value::Object(link.stripped)).collect();
        let mut room = object_of(&self.room.summary);
        room.insert("children_state".to_owned(), Value::Array(links));
        let children = self.children.iter();
        let children = children.map(|child| Value::Object(object_of(child)));
        let inaccessible = self.inaccessible.iter();
        let inaccessible = inaccessible.map(|room| Value::from(room.as_str()));
        spec::object! {
            "room" => room,
            "children" => Value::Array(children.collect()),
            "inaccessible_children" => Value::Array(inaccessible.collect()),
        }
    }
}

fn summary_of(object: &Object, named: &HashSet<&RoomId>) -> Option<RoomSummary> {
    summary(object).filter(|summary| named.contains(&*summary.room_id))
}

/// What an object says that a room shows. A join rule that nobody knows lets nobody in.
fn summary(object: &Object) -> Option<RoomSummary> {
    let mut object = object.clone();
    object.remove("children_state");
    let known = |rule: &str| {
        [
            "public",
            "knock",
            "invite",
            "private",
            "restricted",
            "knock_restricted",
        ]
        .contains(&rule)
    };
    if let Some(rule) = object.get("join_rule")
        && !rule.as_str().is_some_and(known)
    {
        object.insert("join_rule".to_owned(), Value::from("private"));
    }
    serde_json::from_str(&encode(&Value::Object(object))).ok()
}

fn object_of(summary: &RoomSummary) -> Object {
    let text = serde_json::to_vec(summary).unwrap_or_default();
    parse_object(&text, Strictness::Lenient).unwrap_or_default()
}

impl Rooms {
    /// A room of other servers with its children, as the first of `via` tells it that knows it; what was heard in the last
    /// minutes will do.
    pub(super) async fn branch(
        &self,
        room: &RoomId,
        via: &[OwnedServerName],
    ) -> Option<Arc<Branch>> {
        let own = &self.context.server_name;
        let others = via.iter().filter(|server| *server != own);
        for server in others.take(SERVERS_MAX) {
            if let Some(branch) = self.branch_from(server, room).await {
                return Some(branch);
            }
        }
        None
    }

    async fn branch_from(&self, server: &ServerName, room: &RoomId) -> Option<Arc<Branch>> {
        let key = (server.to_owned(), room.to_owned());
        let branches = &self.context.asked.branches;
        let now_ms = self.context.clock.now_ms();
        if let Some(known) = branches.get(&key, now_ms) {
            return known;
        }
        let peers = self.context.peers.get()?;
        let (branch, bytes) = match peers.hierarchy(server, room).await {
            Ok(answer) => {
                let branch = Branch::parse(room, &answer);
                (branch.map(Arc::new), encode(&Value::Object(answer)).len())
            }
            // It may let us see the room as soon as one of our users is let in somewhere.
            Err(PeerError::Refused { status, .. }) => {
                tracing::debug!(%server, %room, status, "no hierarchy");
                return None;
            }
            Err(error) => {
                tracing::debug!(%server, %room, error = &error as &dyn std::error::Error, "no hierarchy");
                (None, 0)
            }
        };
        let lifetime_ms = match &branch {
            Some(branch) if branch.inaccessible.is_empty() => LIFETIME_MS,
            Some(_) => BARRED_LIFETIME_MS,
            None => SILENCE_MS,
        };
        branches.put(key, branch.clone(), bytes, now_ms + lifetime_ms);
        branch
    }
}

impl Rooms {
    /// A room with its children, as far as users of the other server are in them or could be.
    ///
    /// # Errors
    /// [`Error::NotFound`]: this server is not in the room, or that server's users could not be.
    pub(crate) async fn told_branch(
        &self,
        origin: &ServerName,
        room: &RoomId,
        suggested_only: bool,
    ) -> Result<Object> {
        let not_found = || Error::NotFound(Subject::Room);
        let viewer = Viewer::Server(origin.to_owned());
        let mut rooms = self.locals(&[room.to_owned()], &viewer).await?;
        let local = rooms.remove(room).filter(|local| local.visible);
        let local = local.ok_or_else(not_found)?;
        let handle = self.by_id(room).await?;
        handle.check_acl(origin).await.map_err(|_| not_found())?;
        let mut room = self.node(local.summary).await?;
        room.children
            .retain(|child| child.suggested || !suggested_only);
        let told = room.children.iter().take(TOLD_MAX);
        let told: Vec<OwnedRoomId> = told.map(|child| child.room_id.clone()).collect();
        let mut known = self.locals(&told, &viewer).await?;
        let mut branch = Branch {
            room,
            children: Vec::new(),
            inaccessible: Vec::new(),
        };
        for child in told {
            match known.remove(&child) {
                Some(local) if local.visible => branch.children.push(local.summary),
                Some(_) => branch.inaccessible.push(child),
                None => {}
            }
        }
        Ok(branch.into_object())
    }
}

#[cfg(test)]
mod tests {
    use ruma::room_id;
    use spec::json::{Strictness, parse_object};

    use super::Branch;

    /// What is in no relation to the room that was asked for does not get into the tree.
    #[test]
    fn a_branch_has_only_what_its_room_names() {
        let shows = r#""num_joined_members": 1, "world_readable": false, "guest_can_join": false"#;
        let link = |room: &str| {
            format!(
                r#"{{"type": "m.space.child", "state_key": "{room}", "sender": "@a:b", "origin_server_ts": 1, "content": {{"via": ["b"]}}}}"#
            )
        };
        let text = format!(
            r#"{{"room": {{"room_id": "!space:b", "room_type": "m.space", "join_rule": "new", {shows}, "children_state": [{}, {}, 5]}},
            "children": [{{"room_id": "!a:b", {shows}}}, {{"room_id": "!stranger:b", {shows}}}, {{"room_id": "!b:b"}}],
            "inaccessible_children": ["!b:b", "!stranger:b", 1]}}"#,
            link("!a:b"),
            link("!b:b"),
        );
        let answer = parse_object(text.as_bytes(), Strictness::Lenient).unwrap();
        let branch = Branch::parse(room_id!("!space:b"), &answer).expect("a branch");
        assert_eq!(branch.room.summary.join_rule.as_str(), "private");
        assert_eq!(branch.room.children.len(), 2);
        assert_eq!(branch.children.len(), 1);
        assert_eq!(branch.inaccessible, [room_id!("!b:b")]);
        assert!(Branch::parse(room_id!("!other:b"), &answer).is_none());
    }
}
