//! Searching the rooms of a user: client-server API, "Server Side Search".

mod context;
mod cursor;
mod rank;

use std::collections::{BTreeMap, HashMap, HashSet};

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId,
    api::client::filter::RoomEventFilter,
    events::{AnyStateEvent, AnyTimelineEvent},
    serde::Raw,
};
use spec::search::Key;
use storage::{
    EventRow, Limit, RoomRow, events,
    members::{self, Membership},
    search::{self, Match, Matching},
    summaries,
};

pub use self::context::{HitContext, HitProfile, SearchContext};
use self::cursor::Cursor;
use crate::{
    Engine, Error, RelationFilter, Requester, Result,
    events::Placed,
    read::{
        access::Access,
        view::{Seen, View},
    },
    render::Shape,
    rooms::RoomHandle,
    sync::filter,
};

/// How many results one answer has if the client does not say.
const LIMIT_DEFAULT: usize = 10;
/// How many results one answer may have.
const LIMIT_MAX: usize = 100;
/// How many rooms of a user are searched, the newest.
const ROOMS_MAX: usize = 8_000;
/// How many words of a search count. More would find nothing but whole texts anyway.
const TERMS_MAX: usize = 16;
/// How many characters of a word count.
const TERM_CHARS_MAX: usize = 128;
/// How many matches are ranked among each other, the newest that there are: those before them come after all of these.
const WINDOW: usize = 1_000;
/// How many matches are looked at together, and how many are read first where the newest come first.
const TOGETHER: usize = 50;
/// How many matches one request may look through for such that the user may see and the filter wants.
const LOOKED_AT_MAX: usize = 5 * WINDOW;
/// Up to where matches are counted: no farther than they are ranked, so that ranking counts as well.
const COUNT_MAX: usize = WINDOW;
/// How many matches, the newest, are looked at to be counted in rooms where the user may not see all of them.
const COUNT_SEEN_MAX: usize = 200;

const HISTORY_VISIBILITY: &str = "m.room.history_visibility";

/// By what results are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchOrder {
    /// How well they match.
    Rank,
    /// When they were sent.
    Recent,
}

/// What to search for, and where.
#[derive(Clone, Debug)]
pub struct SearchAsk {
    /// Words that must all stand in a text, anywhere in it and in other words too.
    pub term: String,
    /// Where the text stands; empty: anywhere.
    pub keys: Vec<Key>,
    /// In which rooms and of which events, and how many results.
    pub filter: RoomEventFilter,
    /// Which events by their relations.
    pub relations: RelationFilter,
    /// What comes first.
    pub order: SearchOrder,
    /// Whether results come with what stands around them.
    pub context: Option<SearchContext>,
    /// Whether the state of the rooms comes too.
    pub include_state: bool,
    /// Where to start: the token of an earlier answer.
    pub from: Option<String>,
}

/// Some results.
#[derive(Clone, Debug)]
pub struct SearchPage {
    /// How many there are about, and at most a thousand.
    pub count: i64,
    /// The words, as they were looked for.
    pub highlights: Vec<String>,
    /// The results.
    pub results: Vec<SearchHit>,
    /// The token at which the next page starts; `None` when there is no more.
    pub next_batch: Option<String>,
    /// The current state of the rooms that there are results of, if it was asked for.
    pub state: BTreeMap<OwnedRoomId, Vec<Raw<AnyStateEvent>>>,
}

/// One result.
#[derive(Clone, Debug)]
pub struct SearchHit {
    /// How well it matches: above zero, and the more the better.
    pub rank: f64,
    /// Its ID.
    pub event_id: OwnedEventId,
    /// Its room.
    pub room_id: OwnedRoomId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// The event.
    pub event: Raw<AnyTimelineEvent>,
    /// What stands around it.
    pub context: Option<HitContext>,
}

/// A match that the user sees.
struct Found {
    rank: f64,
    room: RoomRow,
    seen: Seen,
}

/// One search on its way.
struct Search<'a> {
    engine: &'a Engine,
    by: &'a Requester,
    ask: &'a SearchAsk,
    terms: Vec<String>,
    keys: Vec<Key>,
    senders: Option<Vec<String>>,
    rows: Vec<RoomRow>,
    /// Those of them that the user is in now.
    joined: HashSet<RoomRow>,
    /// The rooms that matches were found in; `None` for those that the user may read nothing of.
    rooms: HashMap<RoomRow, Option<(RoomHandle, Access)>>,
}

impl Engine {
    /// Searches the rooms that the user is or was in, as far as they may see them.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: the token is not one of this server's.
    pub async fn search(&self, by: &Requester, ask: SearchAsk) -> Result<SearchPage> {
        let cursor = ask.from.as_deref().map(str::parse).transpose()?;
        let mut search = Search::new(self, by, &ask).await?;
        let (count, found, next) = search.collect(cursor).await?;
        let (results, state) = search.show(found).await?;
        Ok(SearchPage {
            count,
            highlights: search.terms,
            results,
            next_batch: next.map(|next| next.to_string()),
            state,
        })
    }
}

impl<'a> Search<'a> {
    async fn new(engine: &'a Engine, by: &'a Requester, ask: &'a SearchAsk) -> Result<Self> {
        let keys = if ask.keys.is_empty() {
            Key::ALL.to_vec()
        } else {
            ask.keys.clone()
        };
        let senders = ask.filter.senders.as_deref();
        let (rows, joined) = rooms(engine, by, &ask.filter).await?;
        Ok(Self {
            terms: terms(&ask.term),
            keys,
            senders: senders.map(|list| list.iter().map(ToString::to_string).collect()),
            rows,
            joined,
            rooms: HashMap::new(),
            engine,
            by,
            ask,
        })
    }

    fn matching(&self) -> Matching<'_> {
        Matching {
            rooms: &self.rows,
            terms: &self.terms,
            keys: &self.keys,
            senders: self.senders.as_deref(),
        }
    }

    /// How many matches there are about. A number must not tell of texts either that the user may not see: in rooms
    /// where some may be hidden, only those count that are looked at and seen.
    async fn count(&mut self) -> Result<usize> {
        let db = self.engine.context.store.reader();
        let (open, others) = self.by_openness().await?;
        let matching = Matching {
            rooms: &open,
            ..self.matching()
        };
        let count = search::count(db, &matching, Limit::from(COUNT_MAX)).await?;
        let matching = Matching {
            rooms: &others,
            ..self.matching()
        };
        let some = Limit::from(COUNT_SEEN_MAX);
        let page = search::page(db, &matching, i64::MAX, some).await?;
        let hidden: Vec<&Match> = page.matches.iter().collect();
        let count = usize::try_from(count).unwrap_or(0);
        Ok(COUNT_MAX.min(count + self.count_seen(&hidden).await?))
    }

    /// The same from the newest matches, which were read to be ranked.
    async fn count_among(&mut self, window: &[Match]) -> Result<usize> {
        let (open, _) = self.by_openness().await?;
        let open: HashSet<RoomRow> = open.into_iter().collect();
        let (open, others): (Vec<&Match>, Vec<&Match>) =
            window.iter().partition(|one| open.contains(&one.room));
        let some = others.len().min(COUNT_SEEN_MAX);
        Ok(open.len() + self.count_seen(&others[..some]).await?)
    }

    async fn count_seen(&mut self, matches: &[&Match]) -> Result<usize> {
        let mut count = 0;
        for part in matches.chunks(TOGETHER) {
            let seen = self.seen(part.iter().copied()).await?;
            count += part
                .iter()
                .filter(|one| seen.contains_key(&one.event))
                .count();
        }
        Ok(count)
    }

    /// The rooms of which the user sees everything, and the others.
    async fn by_openness(&self) -> Result<(Vec<RoomRow>, Vec<RoomRow>)> {
        let context = &self.engine.context;
        let db = context.store.reader();
        let keys = context.store.state_keys();
        let key = keys.find(&[(HISTORY_VISIBILITY, "")]).await?[0];
        let narrow = match key {
            Some(key) => events::some_of_state(db, &self.rows, key, |json| !is_open(json)).await?,
            None => HashSet::new(),
        };
        let rows = self.rows.iter();
        Ok(rows.partition(|row| self.joined.contains(row) && !narrow.contains(row)))
    }

    /// Looks through the matches from `cursor` on, as many as one answer holds; also says how many there are about, which
    /// only the first page counts, and where to go on.
    async fn collect(&mut self, from: Option<Cursor>) -> Result<(i64, Vec<Found>, Option<Cursor>)> {
        let is_ranked = self.ask.order == SearchOrder::Rank;
        let mut cursor = from.unwrap_or(Cursor::NEWEST);
        if from.is_none() && !is_ranked {
            cursor.count = self.count().await?;
        }
        let mut uncounted = from.is_none() && is_ranked;
        let limit = self.limit();
        let (mut size, mut left) = (limit.max(TOGETHER), LOOKED_AT_MAX);
        if is_ranked {
            size = WINDOW;
        }
        let mut found = Vec::new();
        while left > 0 {
            let db = self.engine.context.store.reader();
            let page = Limit::from(size);
            let window = search::page(db, &self.matching(), cursor.before, page).await?;
            let is_full = window.matches.len() == size;
            if uncounted {
                cursor.count = self.count_among(&window.matches).await?;
                uncounted = false;
            }
            if let Some(newest) = window.matches.first() {
                // What comes later does not move the window for the next page.
                cursor.before = cursor.before.min(newest.moment.saturating_add(1));
            }
            let behind = window.before;
            let ranked = self.ranked(window.matches);
            while cursor.skip < ranked.len() {
                let last = ranked.len().min(cursor.skip + TOGETHER);
                let part = &ranked[cursor.skip..last];
                let mut seen = self.seen(part.iter().map(|(_, one)| one)).await?;
                for (rank, one) in part {
                    cursor.skip += 1;
                    if let Some(seen) = seen.remove(&one.event) {
                        let (rank, room) = (*rank, one.room);
                        found.push(Found { rank, room, seen });
                    }
                    if found.len() == limit {
                        if !is_ranked {
                            cursor = cursor.behind(one.moment);
                        }
                        return Ok((cursor.count(), found, Some(cursor)));
                    }
                }
            }
            let Some(behind) = behind else {
                return Ok((cursor.count(), found, None));
            };
            cursor = cursor.behind(behind);
            // Where all is read for a short word, there is more to a window than its matches.
            left = left.saturating_sub(if is_full { size } else { WINDOW });
            size = WINDOW.min(size * 2);
        }
        Ok((cursor.count(), found, Some(cursor)))
    }

    /// How many results one answer holds.
    fn limit(&self) -> usize {
        let limit = self
            .ask
            .filter
            .limit
            .and_then(|limit| usize::try_from(limit).ok());
        limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
    }

    /// The matches of a window in the order that was asked for, each with its rank.
    fn ranked(&self, window: Vec<Match>) -> Vec<(f64, Match)> {
        let ranked = window.into_iter();
        let mut ranked: Vec<(f64, Match)> = ranked
            .map(|one| (rank::of(&one.text, &self.terms), one))
            .collect();
        if self.ask.order == SearchOrder::Rank {
            ranked.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        }
        ranked
    }

    /// Those of these matches that the user may see and the filter wants. A few queries, and some for each room among them.
    async fn seen<'m>(
        &mut self,
        part: impl Iterator<Item = &'m Match> + Clone + Send,
    ) -> Result<HashMap<EventRow, Seen>> {
        let context = &self.engine.context;
        let rows = part.clone().flat_map(|one| [one.event, one.source]);
        let rows: Vec<EventRow> = rows.collect::<HashSet<_>>().into_iter().collect();
        let stored = events::by_rows(context.store.reader(), &rows).await?;
        let mut by_room: BTreeMap<RoomRow, Vec<Placed>> = BTreeMap::new();
        let room_of: HashMap<EventRow, RoomRow> = part
            .clone()
            .flat_map(|one| [(one.event, one.room), (one.source, one.room)])
            .collect();
        let edits = part.clone().filter(|one| one.source != one.event);
        let edits: HashSet<EventRow> = edits.map(|one| one.source).collect();
        for placed in context.events.place(&context.metas, stored).await? {
            let asked_for = edits.contains(&placed.row)
                || filter::allows_event(&self.ask.filter, &placed.event);
            // A redaction may be on its way to the index.
            let wanted = placed.redacted_by.is_none() && asked_for;
            if let Some(room) = room_of.get(&placed.row).filter(|_| wanted) {
                by_room.entry(*room).or_default().push(placed);
            }
        }
        let mut found = HashMap::new();
        for (row, placed) in by_room {
            self.enter(row).await?;
            let Some(Some((room, access))) = self.rooms.get(&row) else {
                continue;
            };
            let mut view = View::new(room, self.by, *access).await?;
            let (texts, placed): (Vec<Placed>, Vec<Placed>) = placed
                .into_iter()
                .partition(|placed| edits.contains(&placed.row));
            let mut placed = self.ask.relations.wanted(&view, placed).await?;
            placed.extend(texts);
            placed.retain(|placed| placed.spot.anchor <= access.horizon());
            let seen = view.filter(placed).await?;
            found.extend(seen.into_iter().map(|seen| (seen.placed.row, seen)));
        }
        // A text is not found by those who may not see the edit that it comes from.
        for one in part {
            if !found.contains_key(&one.source) {
                found.remove(&one.event);
            }
        }
        Ok(found)
    }

    /// Learns how the user stands to a room.
    async fn enter(&mut self, row: RoomRow) -> Result<()> {
        if self.rooms.contains_key(&row) {
            return Ok(());
        }
        let room = self.engine.rooms().by_row(row).await?;
        let access = match room.access(self.by).await {
            Ok(access) => Some(access),
            Err(Error::Forbidden(_)) => None,
            Err(error) => return Err(error),
        };
        self.rooms.insert(row, access.map(|access| (room, access)));
        Ok(())
    }

    /// The results as the user sees them, and the state of their rooms. A few queries for each room, and for each result if
    /// its surroundings are wanted.
    async fn show(
        &self,
        found: Vec<Found>,
    ) -> Result<(
        Vec<SearchHit>,
        BTreeMap<OwnedRoomId, Vec<Raw<AnyStateEvent>>>,
    )> {
        let mut state = BTreeMap::new();
        let mut hits: HashMap<EventRow, SearchHit> = HashMap::new();
        let among: HashSet<RoomRow> = found.iter().map(|found| found.room).collect();
        for row in among {
            let Some(Some((room, access))) = self.rooms.get(&row) else {
                continue;
            };
            let of_room: Vec<&Found> = found.iter().filter(|found| found.room == row).collect();
            let mut view = View::new(room, self.by, *access).await?;
            let seen = of_room.iter().map(|found| &found.seen);
            let bundles = view.bundles(seen, Shape::Whole).await?;
            for Found { rank, seen, .. } in of_room {
                let event = &seen.placed.event;
                let context = match self.ask.context {
                    Some(wanted) => Some(context::of(&mut view, seen, wanted).await?),
                    None => None,
                };
                let hit = SearchHit {
                    rank: *rank,
                    event_id: event.id().to_owned(),
                    room_id: event.room_id().to_owned(),
                    sender: event.sender().to_owned(),
                    event: view.render_with(seen, &bundles, Shape::Whole).await?,
                    context,
                };
                hits.insert(seen.placed.row, hit);
            }
            if self.ask.include_state {
                let rows: Vec<EventRow> = room
                    .visible_state(*access)
                    .await?
                    .values()
                    .copied()
                    .collect();
                let rendered = view.render_rows(&rows).await?;
                state.insert(room.meta.id.clone(), rendered);
            }
        }
        let in_order = found.iter();
        let hits = in_order.filter_map(|found| hits.remove(&found.seen.placed.row));
        Ok((hits.collect(), state))
    }
}

/// Whether a stored event says that all who are in the room may see all of its history.
fn is_open(json: &str) -> bool {
    let event: Option<serde_json::Value> = serde_json::from_str(json).ok();
    let visibility = event
        .as_ref()
        .and_then(|event| event.get("content")?.get("history_visibility")?.as_str());
    matches!(visibility, Some("shared" | "world_readable"))
}

/// The rooms that the user is or was in and the filter wants, the newest, and those of them that they are in; none that is
/// encrypted.
async fn rooms(
    engine: &Engine,
    by: &Requester,
    wanted: &RoomEventFilter,
) -> Result<(Vec<RoomRow>, HashSet<RoomRow>)> {
    let context = &engine.context;
    let which = [Membership::Join, Membership::Leave, Membership::Ban];
    let members = members::of_user(context.store.reader(), &by.user_id, &which).await?;
    let is_joined = |member: &&members::Member| member.membership == Membership::Join;
    let joined = members.iter().filter(is_joined).map(|member| member.room);
    let joined = joined.collect();
    let unreadable = context.metas.unreadable().await?;
    let rows = members.into_iter().map(|member| member.room);
    let mut rows: Vec<RoomRow> = rows.filter(|row| !unreadable.contains(row)).collect();
    if wanted.rooms.is_some() || !wanted.not_rooms.is_empty() {
        let metas = context.metas.by_rows(&rows).await?;
        let allowed = metas.into_iter().filter(|meta| {
            !wanted.not_rooms.contains(&meta.id)
                && wanted
                    .rooms
                    .as_ref()
                    .is_none_or(|rooms| rooms.contains(&meta.id))
        });
        rows = allowed.map(|meta| meta.row).collect();
    }
    let encrypted = summaries::encrypted_among(context.store.reader(), &rows).await?;
    rows.retain(|row| !encrypted.contains(row));
    let old = rows.len().saturating_sub(ROOMS_MAX);
    Ok((rows.split_off(old), joined))
}

/// The words of a search, in lower case, each once.
fn terms(term: &str) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    for word in term.split(|c: char| c.is_whitespace() || c == '\0') {
        let word: String = word.chars().take(TERM_CHARS_MAX).collect();
        let word = word.to_lowercase();
        if !word.is_empty() && !terms.contains(&word) {
            terms.push(word);
        }
        if terms.len() == TERMS_MAX {
            break;
        }
    }
    terms
}
