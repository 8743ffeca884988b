//! The walk through a tree of spaces: client-server API, "Spaces" (`GET /hierarchy`).
//!
//! Depth first, each room once. What is left to visit after a page is kept in memory under the token of the next page;
//! a page may be asked for again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{
    OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName,
    api::client::space::SpaceHierarchyRoomsChunk, room::RoomSummary, serde::Raw,
};
use serde_json::value::RawValue;
use spec::json::encode_object;

use super::{
    Node, is_space,
    local::Local,
    viewer::{self, Viewer},
};
use crate::{Engine, Error, Requester, Result, rooms::Rooms};

/// How many rooms a page has at most, and where the asker does not say.
const LIMIT_MAX: usize = 50;
/// How many rooms of one tree are visited at most.
const ROOMS_MAX: usize = 10_000;
/// For how long rooms of other servers are looked for before a page is answered as it is, in milliseconds.
const PAGE_TIME_MS: i64 = 15_000;
/// How long the token of a page is good, in milliseconds.
const WALK_LIFETIME_MS: i64 = 10 * 60_000;
/// What a room that is yet to be visited takes in memory, in bytes.
const STOP_BYTES: usize = 512;

/// What is wanted of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HierarchyAsk {
    /// Only children that their spaces suggest.
    pub suggested_only: bool,
    /// How far down; the root is at zero. `None`: to the ground.
    pub max_depth: Option<u64>,
    /// At most so many rooms; never more than 50.
    pub limit: Option<u64>,
    /// The token of an earlier page.
    pub from: Option<String>,
}

/// A page of a tree.
#[derive(Debug, Default)]
pub struct HierarchyPage {
    /// The rooms, each before its children.
    pub rooms: Vec<SpaceHierarchyRoomsChunk>,
    /// The token of the next page, if there is more.
    pub next_batch: Option<String>,
}

/// A walk that has come to some point.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    root: OwnedRoomId,
    user: OwnedUserId,
    suggested_only: bool,
    max_depth: Option<u64>,
    /// What to visit, the next one last.
    stops: Vec<Stop>,
    visited: HashSet<OwnedRoomId>,
}

/// A room to be visited.
#[derive(Clone, Debug)]
struct Stop {
    room: OwnedRoomId,
    depth: u64,
    via: Vec<OwnedServerName>,
    told: Told,
}

/// What the server of the parent has said of a room.
#[derive(Clone, Debug)]
enum Told {
    Nothing,
    Inaccessible,
    Shown(Box<RoomSummary>),
}

impl Engine {
    /// A page of the tree under a room, as far as the user may see it.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user may not see the room. [`Error::InvalidParam`]: the token is not of this tree, or too
    /// old.
    pub async fn hierarchy(
        &self,
        by: &Requester,
        root: &RoomId,
        ask: &HierarchyAsk,
    ) -> Result<HierarchyPage> {
        self.rooms().hierarchy(by, root, ask).await
    }
}

impl Rooms {
    async fn hierarchy(
        &self,
        by: &Requester,
        root: &RoomId,
        ask: &HierarchyAsk,
    ) -> Result<HierarchyPage> {
        let now_ms = self.context.clock.now_ms();
        let mut walk = match &ask.from {
            None => Walk::from(root, by, ask),
            Some(token) => {
                let walk = self.context.walks.get(token, now_ms);
                let walk = walk.filter(|walk| walk.is_for(root, by, ask));
                let invalid = || Error::InvalidParam("`from` is no token of this tree".to_owned());
                Walk::clone(walk.ok_or_else(invalid)?.as_ref())
            }
        };
        let limit = ask.limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(LIMIT_MAX).clamp(1, LIMIT_MAX);
        let nodes = self
            .walk_on(&mut walk, limit, now_ms + PAGE_TIME_MS)
            .await?;
        if nodes.is_empty() && ask.from.is_none() && walk.stops.is_empty() {
            return Err(Error::Forbidden(
                "You may not see this room, or nobody knows it".to_owned(),
            ));
        }
        Ok(HierarchyPage {
            rooms: nodes.into_iter().filter_map(entry).collect(),
            next_batch: (!walk.stops.is_empty()).then(|| self.keep(walk, now_ms)),
        })
    }

    /// Goes on until a page is full, its time is over, or the tree ends.
    async fn walk_on(&self, walk: &mut Walk, limit: usize, until_ms: i64) -> Result<Vec<Node>> {
        let viewer = Viewer::User(walk.user.clone());
        let mut nodes = Vec::new();
        let mut locals = HashMap::new();
        while nodes.len() < limit
            && self.context.clock.now_ms() < until_ms
            && let Some(stop) = walk.stops.pop()
        {
            if walk.visited.len() >= ROOMS_MAX {
                walk.stops.clear();
                break;
            }
            if !walk.visited.insert(stop.room.clone()) {
                continue;
            }
            if !locals.contains_key(&stop.room) {
                let ahead = walk.stops.iter().rev().map(|stop| &stop.room);
                let ahead: Vec<_> = [&stop.room]
                    .into_iter()
                    .chain(ahead)
                    .take(LIMIT_MAX)
                    .collect();
                self.look_ahead(&ahead, &viewer, &mut locals).await?;
            }
            let local = locals.get(&stop.room).and_then(Option::as_ref);
            let visit = match local {
                Some(local) if local.visible => self.visit_local(local).await?,
                Some(_) => continue,
                None => self.visit_remote(&stop, &viewer).await?,
            };
            if let Some(visit) = visit {
                nodes.push(walk.descend(&stop, visit));
            }
        }
        Ok(nodes)
    }

    /// Notes which of these rooms are of this server.
    async fn look_ahead(
        &self,
        rooms: &[&OwnedRoomId],
        viewer: &Viewer,
        locals: &mut HashMap<OwnedRoomId, Option<Local>>,
    ) -> Result<()> {
        // A room may be ahead twice, or known.
        let rooms = rooms.iter().filter(|room| !locals.contains_key(**room));
        let rooms: Vec<OwnedRoomId> = rooms.copied().cloned().collect();
        let found = self.locals(&rooms, viewer).await?;
        for room in rooms {
            let local = found.get(&room).cloned();
            locals.insert(room, local);
        }
        Ok(())
    }

    async fn visit_local(&self, local: &Local) -> Result<Option<Visit>> {
        let node = self.node(local.summary.clone()).await?;
        Ok(Some(Visit::of(node)))
    }

    /// A room of other servers; `None` if none of them tells it, or the user may not see it.
    async fn visit_remote(&self, stop: &Stop, viewer: &Viewer) -> Result<Option<Visit>> {
        let visit = match &stop.told {
            Told::Inaccessible => return Ok(None),
            Told::Shown(summary) if !is_space(summary) => Visit::leaf(summary),
            told => match (self.branch(&stop.room, &stop.via).await, told) {
                (Some(branch), _) => {
                    let shown = branch
                        .children
                        .iter()
                        .map(|child| (child.room_id.clone(), Told::Shown(Box::new(child.clone()))));
                    let barred = branch.inaccessible.iter();
                    let barred = barred.map(|room| (room.clone(), Told::Inaccessible));
                    Visit {
                        node: branch.room.clone(),
                        told: barred.chain(shown).collect(),
                    }
                }
                (None, Told::Shown(summary)) => Visit::leaf(summary),
                (None, _) => return Ok(None),
            },
        };
        let visible = self.may_see_remote(&visit.node.summary, viewer).await?;
        Ok(visible.then_some(visit))
    }

    /// Whether a viewer may see a room that only other servers are in.
    pub(super) async fn may_see_remote(
        &self,
        summary: &RoomSummary,
        viewer: &Viewer,
    ) -> Result<bool> {
        let context = &self.context;
        let metas = context
            .metas
            .by_ids(std::slice::from_ref(&summary.room_id))
            .await?;
        let own = match metas.first() {
            Some(meta) => viewer.own(context, &[meta.row]).await?.remove(&meta.row),
            None => None,
        };
        let joined = viewer.joined(context, viewer::allowing(summary)).await?;
        Ok(viewer::may_see(summary, own, |room| joined.contains(room)))
    }

    /// Keeps a walk for its next page, and returns the token for it.
    fn keep(&self, walk: Walk, now_ms: i64) -> String {
        let token = self.context.chance.secret();
        let bytes = (walk.stops.len() + walk.visited.len()) * STOP_BYTES;
        let walks = &self.context.walks;
        walks.put(
            token.clone(),
            Arc::new(walk),
            bytes,
            now_ms + WALK_LIFETIME_MS,
        );
        token
    }
}

impl Walk {
    fn from(root: &RoomId, by: &Requester, ask: &HierarchyAsk) -> Self {
        let via = root.server_name().map(ServerName::to_owned);
        let stop = Stop {
            room: root.to_owned(),
            depth: 0,
            via: via.into_iter().collect(),
            told: Told::Nothing,
        };
        Self {
            root: root.to_owned(),
            user: by.user_id.clone(),
            suggested_only: ask.suggested_only,
            max_depth: ask.max_depth,
            stops: vec![stop],
            visited: HashSet::new(),
        }
    }

    /// Whether a token of this walk goes with a request.
    fn is_for(&self, root: &RoomId, by: &Requester, ask: &HierarchyAsk) -> bool {
        self.root == root
            && self.user == by.user_id
            && self.suggested_only == ask.suggested_only
            && self.max_depth == ask.max_depth
    }

    /// Puts the children of a room before all else that is to be visited.
    fn descend(&mut self, stop: &Stop, visit: Visit) -> Node {
        let Visit { mut node, mut told } = visit;
        if self.suggested_only {
            node.children.retain(|child| child.suggested);
        }
        if self.max_depth.is_none_or(|deepest| stop.depth < deepest) {
            let children = node.children.iter().rev();
            let children = children.filter(|child| !self.visited.contains(&child.room_id));
            let stops: Vec<Stop> = children
                .map(|child| Stop {
                    room: child.room_id.clone(),
                    depth: stop.depth + 1,
                    via: child.via.clone(),
                    told: told.remove(&child.room_id).unwrap_or(Told::Nothing),
                })
                .collect();
            self.stops.extend(stops);
        }
        node
    }
}

/// A room that was visited, and what its server said of its children.
struct Visit {
    node: Node,
    told: HashMap<OwnedRoomId, Told>,
}

impl Visit {
    fn of(node: Node) -> Self {
        Self {
            node,
            told: HashMap::new(),
        }
    }

    /// A room whose children are not known, or that has none.
    fn leaf(summary: &RoomSummary) -> Self {
        Self::of(Node {
            summary: summary.clone(),
            children: Vec::new(),
        })
    }
}

/// A room as clients get it.
fn entry(node: Node) -> Option<SpaceHierarchyRoomsChunk> {
    let children = node.children.iter();
    let children = children.map(|child| RawValue::from_string(encode_object(&child.stripped)));
    let children: Vec<_> = children.collect::<std::result::Result<_, _>>().ok()?;
    let children = children.into_iter().map(Raw::from_json).collect();
    Some(SpaceHierarchyRoomsChunk::new(node.summary, children))
}
