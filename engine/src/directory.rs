//! The list of public rooms, of this server and of others: client-server API, "Published room directory"; server-server
//! API, "Public Room Directory".

mod page;

use ruma::{
    ServerName,
    directory::{PublicRoomsChunk, RoomNetwork},
    room::JoinRuleKind,
};
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use storage::{
    Limit,
    summaries::{self, Summary, Wanted},
};

use self::page::Since;
use crate::{Engine, Error, Result, peers::PeerError, rooms::Rooms};

/// How many rooms a page has where the asker does not say.
const LIMIT_DEFAULT: u64 = 100;
/// The most rooms of a page, some 200 KiB of JSON.
const LIMIT_MAX: u64 = 500;

/// What is wanted of a list of public rooms, as clients and servers write it. ruma's type does not take the `null`s that
/// the specification allows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PublicRoomsAsk {
    /// At most so many rooms; `None` and zero leave it to the server, which has its own maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Where to go on: a token of an earlier answer of the same server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Which rooms; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<PublicRoomsFilter>,
    /// Of which networks.
    #[serde(flatten)]
    pub network: RoomNetwork,
}

/// Which public rooms are wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PublicRoomsFilter {
    /// Those with this text in their name, topic or main alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generic_search_term: Option<String>,
    /// Those of these types, where `None` is a room without type; no list, or an empty one, means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_types: Option<Vec<Option<String>>>,
}

/// A page of public rooms, as it travels between servers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PublicRooms {
    /// The rooms.
    #[serde(serialize_with = "spelled_out")]
    pub chunk: Vec<PublicRoomsChunk>,
    /// The token of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
    /// The token of the page before, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_batch: Option<String>,
    /// How many rooms there are, filtered or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_room_count_estimate: Option<ruma::UInt>,
}

/// Names the join rule of rooms that everybody may join too: the specification lets it be missing, Synapse does not.
fn spelled_out<S: Serializer>(
    chunk: &[PublicRoomsChunk],
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    let entry = |room: &PublicRoomsChunk| {
        let mut entry = serde_json::to_value(room)?;
        if let Some(entry) = entry.as_object_mut() {
            let public = || JoinRuleKind::Public.as_str().into();
            entry.entry("join_rule").or_insert_with(public);
        }
        Ok(entry)
    };
    let entries: serde_json::Result<Vec<serde_json::Value>> = chunk.iter().map(entry).collect();
    entries.map_err(S::Error::custom)?.serialize(to)
}

impl Engine {
    /// A page of the public rooms of `server`, or of this server: those with most members first.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: the token is not one of this server's. [`Error::NotFound`]: the other server has no such
    /// list. [`Error::Unreachable`]: it gives no usable answer.
    pub async fn public_rooms(
        &self,
        server: Option<&ServerName>,
        ask: &PublicRoomsAsk,
    ) -> Result<PublicRooms> {
        let rooms = self.rooms();
        match server.filter(|server| *server != self.server_name()) {
            None => rooms.public_rooms(ask, Reach::All).await,
            Some(server) => rooms.public_rooms_of(server, ask).await,
        }
    }
}

/// Which rooms the asker could take part in at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of this server.
    All,
    /// Those that are open to users of other servers.
    Federated,
}

impl Rooms {
    /// A page of the public rooms of this server. Two queries, and one to count.
    pub(crate) async fn public_rooms(
        &self,
        ask: &PublicRoomsAsk,
        reach: Reach,
    ) -> Result<PublicRooms> {
        // No application service brings rooms of another network.
        if let RoomNetwork::ThirdParty(_) = ask.network {
            return Ok(PublicRooms::default());
        }
        let since = match ask.since.as_deref() {
            None => Since::Start,
            Some(token) => Since::parse(token)?,
        };
        let limit = match ask.limit {
            None | Some(0) => LIMIT_DEFAULT,
            Some(limit) => limit.min(LIMIT_MAX),
        };
        let filter = ask.filter.clone().unwrap_or_default();
        let wanted = Wanted {
            term: filter.generic_search_term,
            types: filter.room_types.unwrap_or_default(),
            federated: reach == Reach::Federated,
        };
        let db = self.context.store.reader();
        // One more tells whether there are more.
        let found = summaries::published(db, &wanted, since.part(), Limit::new(limit + 1)).await?;
        let page = since.cut(found, usize::try_from(limit).unwrap_or(usize::MAX));
        let total = summaries::published_count(db).await?;
        Ok(PublicRooms {
            chunk: self.chunk(page.rooms).await?,
            next_batch: page.next,
            prev_batch: page.prev,
            total_room_count_estimate: ruma::UInt::new(total),
        })
    }

    /// A page of the public rooms of another server, as that gives it.
    async fn public_rooms_of(
        &self,
        server: &ServerName,
        ask: &PublicRoomsAsk,
    ) -> Result<PublicRooms> {
        let unreachable = || Error::Unreachable(format!("{server} does not tell its public rooms"));
        let peers = self.context.peers.get().ok_or_else(unreachable)?;
        match peers.public_rooms(server, ask).await {
            Ok(mut page) => {
                let most = ask.limit.filter(|limit| *limit > 0).unwrap_or(LIMIT_MAX);
                let most = usize::try_from(most.min(LIMIT_MAX)).unwrap_or(usize::MAX);
                page.chunk.truncate(most);
                Ok(page)
            }
            Err(PeerError::Refused { status: 404, .. }) => {
                Err(Error::NotFound(crate::Subject::Directory))
            }
            Err(error) => {
                tracing::info!(%server, error = &error as &dyn std::error::Error, "no list of public rooms");
                Err(unreachable())
            }
        }
    }

    async fn chunk(&self, page: Vec<Summary>) -> Result<Vec<PublicRoomsChunk>> {
        let rows: Vec<_> = page.iter().map(|summary| summary.room).collect();
        let metas = self.context.metas.by_rows(&rows).await?;
        let entry = |(meta, summary): (&std::sync::Arc<crate::room_meta::RoomMeta>, Summary)| {
            crate::summary::of(meta, summary).into()
        };
        Ok(metas.iter().zip(page).map(entry).collect())
    }
}
