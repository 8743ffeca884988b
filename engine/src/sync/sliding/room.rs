//! The news of one room: MSC4186, "Room results".

use std::{collections::BTreeSet, sync::Arc};

use imbl::ordmap::DiffItem;
use ruma::{OwnedUserId, api::client::filter::FilterDefinition};
use storage::{
    EventRow, Position, StateKeyRow, events, members::Membership, notifications::MAIN, summaries,
};

use super::{
    Slide,
    answer::{Hero, RoomAnswer},
    ask::RoomConfig,
    connection::{SentRoom, Shown},
    listing::Listed,
    past::Facts,
    windows::Wanted,
};
use crate::{
    Error, Result,
    read::{
        access::Access,
        view::{Seen, View},
    },
    render::{self, Shape},
    rooms::RoomHandle,
    states::StateMap,
    sync::{Build, SyncAsk, changes::RoomChange, joined::Window, left::departure_alone},
};

/// What counts as somebody doing something in a room.
const BUMPS: [&str; 10] = [
    "m.room.create",
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.call.invite",
    "m.poll.start",
    "org.matrix.msc3381.poll.start",
    "m.beacon_info",
    "org.matrix.msc3672.beacon_info",
    "m.location",
];
const MEMBER: &str = "m.room.member";

/// What a room is sent as, and what the client has with it.
pub(super) struct Told {
    /// `None`: there is nothing to say.
    pub(super) answer: Option<RoomAnswer>,
    pub(super) sent: SentRoom,
}

/// State that has changed, or is wanted only now.
#[derive(Default)]
struct StateNews {
    rows: BTreeSet<EventRow>,
    removed: Vec<(String, String)>,
    name: bool,
    avatar: bool,
    members: bool,
}

impl Slide<'_> {
    /// The news of a wanted room.
    pub(super) async fn room(
        &self,
        room: &RoomHandle,
        listed: &Listed,
        wanted: &Wanted,
        change: Option<&RoomChange>,
        is_dm: bool,
    ) -> Result<Told> {
        let entered = change.is_some_and(|change| change.entered);
        let known = self.opened.sent.get(&room.meta.row);
        let known = known.filter(|known| known.shown == listed.shown && !entered);
        let sent = SentRoom {
            shown: listed.shown,
            upto: None,
            config: wanted.config.clone(),
            start: known.map_or(Position::MIN, |known| known.start),
            is_dm,
            members: known.map(|known| known.members.clone()).unwrap_or_default(),
        };
        let mut told = match (listed.shown, known) {
            (Shown::Joined, None) => self.whole(room, sent, listed).await?,
            (Shown::Joined, Some(known)) => self.changed(room, known, sent, listed, change).await?,
            (Shown::Left, _) => self.left(room, known, sent, listed).await?,
            (Shown::Outside, _) => self.outside(room, known, sent, listed).await?,
        };
        if known.is_some_and(|known| known.is_dm != is_dm) {
            told.answer.get_or_insert_default().is_dm = Some(is_dm);
        }
        if listed.shown == Shown::Joined {
            let counted = change.is_some_and(|change| self.build.counts_changed(change));
            if counted || told.answer.is_some() {
                let answer = told.answer.get_or_insert_default();
                self.count(answer, room).await?;
            }
        }
        if let Some(answer) = &mut told.answer {
            answer.membership = listed.own.membership.as_str();
            answer.lists.clone_from(&wanted.lists);
            if answer.initial && is_dm {
                answer.is_dm = Some(true);
            }
        }
        Ok(told)
    }

    /// Sets the counts of a room: those of its main timeline.
    async fn count(&self, answer: &mut RoomAnswer, room: &RoomHandle) -> Result<()> {
        let row = room.meta.row;
        let unread = room.context.unread(&self.build.by.user_id, &[row]).await?;
        let main = unread.get(&row).and_then(|tally| tally.threads.get(MAIN));
        let natural = |count: i64| Some(u64::try_from(count).unwrap_or_default());
        answer.notification_count = natural(main.map_or(0, |main| main.notifications));
        answer.highlight_count = natural(main.map_or(0, |main| main.highlights));
        Ok(())
    }

    /// A room that the client knows nothing of.
    async fn whole(&self, room: &RoomHandle, mut sent: SentRoom, listed: &Listed) -> Result<Told> {
        let ask = with_limit(&sent.config);
        let build = self.with(&ask);
        let to = build.to.position;
        let window = build
            .newest(room, Access::Joined, to, Position::MIN)
            .await?;
        let state = room.state_at(to).await?;
        let mut news = StateNews {
            name: true,
            avatar: true,
            members: true,
            ..StateNews::default()
        };
        news.rows = self.taken(room, &sent.config, None, &state).await?;
        let mut answer = RoomAnswer {
            initial: true,
            ..RoomAnswer::default()
        };
        sent.start = start_of(&window);
        let bump = self.last_bump(room, &window.seen).await?;
        // Where nobody has done anything since this server came in, it is that.
        answer.bump_stamp = bump.or(Some(listed.own.position.get()));
        self.tell(room, &build, &mut answer, &mut sent, window, &state, news)
            .await?;
        Ok(Told {
            answer: Some(answer),
            sent,
        })
    }

    /// A room of which the client knows something: what came since, and what is wanted only now.
    async fn changed(
        &self,
        room: &RoomHandle,
        known: &SentRoom,
        mut sent: SentRoom,
        listed: &Listed,
        change: Option<&RoomChange>,
    ) -> Result<Told> {
        let ask = with_limit(&sent.config);
        let build = self.with(&ask);
        let to = build.to.position;
        let since = known.upto.unwrap_or_else(|| self.build.since());
        let has_news = match (known.upto, change) {
            (None, change) => change.is_some_and(|change| {
                change.truncated || change.resettled || !change.events.is_empty()
            }),
            (Some(upto), _) => listed.last > upto,
        };
        let more_wanted = sent.config.timeline_limit > known.config.timeline_limit;
        let wider = sent.config.widens(&known.config);
        if !(has_news || more_wanted || wider) {
            return Ok(Told { answer: None, sent });
        }
        let mut answer = RoomAnswer::default();
        let mut window = Window {
            seen: Vec::new(),
            limited: false,
            start: since,
            unseen: false,
            access: Access::Joined,
        };
        if has_news {
            let listed = change.filter(|change| known.upto.is_none() && !change.truncated);
            window = match listed {
                Some(change) => {
                    let (events, resettled) = (change.events.clone(), change.resettled);
                    build.window(room, since, events, resettled).await?
                }
                None => build.newest(room, Access::Joined, to, since).await?,
            };
        }
        if more_wanted {
            let more = build
                .newest(room, Access::Joined, to, Position::MIN)
                .await?;
            let first = more.seen.first().map(|seen| seen.placed.spot.anchor);
            if first.is_some_and(|first| first <= known.start) {
                window = more;
                answer.expanded_timeline = true;
            }
        }
        if answer.expanded_timeline || window.limited {
            sent.start = start_of(&window);
        }
        if window.limited {
            // Whoever was away for longer asks anew for members.
            sent.members = imbl::OrdSet::new();
        }
        let state = room.state_at(to).await?;
        let mut news = StateNews::default();
        if has_news && may_change_state(change.filter(|_| known.upto.is_none())) {
            let old = room.state_at(since).await?;
            news = self
                .differences(room, &sent.config, &old, &state, window.limited)
                .await?;
        }
        if wider {
            let taken = self.taken(room, &sent.config, Some(&known.config), &state);
            news.rows.extend(taken.await?);
        }
        answer.bump_stamp = bump_among(&window.seen);
        self.tell(room, &build, &mut answer, &mut sent, window, &state, news)
            .await?;
        let is_empty = answer.timeline.is_empty()
            && answer.required_state.is_empty()
            && answer.removed_state.is_empty()
            && answer.joined_count.is_none()
            && answer.name.is_none()
            && answer.avatar.is_none();
        Ok(Told {
            answer: (!is_empty).then_some(answer),
            sent,
        })
    }

    /// A room that the user was in, up to their departure.
    async fn left(
        &self,
        room: &RoomHandle,
        known: Option<&SentRoom>,
        mut sent: SentRoom,
        listed: &Listed,
    ) -> Result<Told> {
        let was = self.opened.sent.get(&room.meta.row);
        let since = was.map(|was| was.upto.unwrap_or_else(|| self.build.since()));
        if known.is_some() && since.is_some_and(|since| listed.own.position <= since) {
            return Ok(Told { answer: None, sent });
        }
        let access = match room.access(self.build.by).await {
            Ok(access @ Access::Departed { .. }) => access,
            Ok(_) | Err(Error::Forbidden(_)) => return self.gone(room, sent, listed).await,
            Err(error) => return Err(error),
        };
        // Of a room that the client saw while the user was in it, only what came since.
        let since = since.filter(|_| was.is_some_and(|was| was.shown == Shown::Joined));
        let ask = with_limit(&sent.config);
        let build = self.with(&ask);
        let from = since.unwrap_or(Position::MIN);
        let window = build
            .until_departure(room, access, &listed.own, access.horizon(), from)
            .await?;
        let state = room.visible_state(access).await?;
        let news = match since {
            Some(since) => {
                let old = room.state_at(since).await?;
                self.differences(room, &sent.config, &old, &state, window.limited)
                    .await?
            }
            None => StateNews {
                rows: self.taken(room, &sent.config, None, &state).await?,
                name: true,
                avatar: true,
                members: true,
                ..StateNews::default()
            },
        };
        let mut answer = RoomAnswer {
            initial: since.is_none(),
            bump_stamp: Some(listed.own.position.get()),
            ..RoomAnswer::default()
        };
        self.tell(room, &build, &mut answer, &mut sent, window, &state, news)
            .await?;
        Ok(Told {
            answer: Some(answer),
            sent,
        })
    }

    /// A room of which the user may see no more than that they have gone.
    async fn gone(&self, room: &RoomHandle, sent: SentRoom, listed: &Listed) -> Result<Told> {
        let window = departure_alone(room, &listed.own).await?;
        let ask = with_limit(&sent.config);
        let timeline = self.with(&ask).timeline(room, window).await?;
        let answer = RoomAnswer {
            bump_stamp: Some(listed.own.position.get()),
            num_live: Some(timeline.events.len()),
            limited: timeline.limited,
            prev_batch: timeline.prev_batch,
            timeline: timeline.events,
            ..RoomAnswer::default()
        };
        Ok(Told {
            answer: Some(answer),
            sent,
        })
    }

    /// A room that the user is invited to, knocks at, or was refused by.
    async fn outside(
        &self,
        room: &RoomHandle,
        known: Option<&SentRoom>,
        sent: SentRoom,
        listed: &Listed,
    ) -> Result<Told> {
        let since = known.map(|known| known.upto.unwrap_or_else(|| self.build.since()));
        if since.is_some_and(|since| listed.own.position <= since) {
            return Ok(Told { answer: None, sent });
        }
        let stripped = match listed.own.membership {
            Membership::Invite | Membership::Knock => self.build.preview(room, &listed.own).await?,
            Membership::Join | Membership::Leave | Membership::Ban => {
                let context = &room.context;
                let own = context.events.get(&context.metas, listed.own.event).await?;
                render::stripped(&own.event).into_iter().collect()
            }
        };
        let answer = RoomAnswer {
            initial: true,
            bump_stamp: Some(listed.own.position.get()),
            stripped_state: Some(stripped),
            ..RoomAnswer::default()
        };
        Ok(Told {
            answer: Some(answer),
            sent,
        })
    }

    /// Writes timeline and state into the answer, with the members that the timeline needs.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one answer, put together in one place"
    )]
    async fn tell(
        &self,
        room: &RoomHandle,
        build: &Build<'_>,
        answer: &mut RoomAnswer,
        sent: &mut SentRoom,
        window: Window,
        state: &StateMap,
        mut news: StateNews,
    ) -> Result<()> {
        if sent.config.is_lazy() {
            let needed = self.needed_members(room, sent, &window.seen, state).await?;
            for (key, row) in needed {
                sent.members.insert(key);
                news.rows.insert(row);
            }
        }
        let rows: Vec<EventRow> = news.rows.iter().copied().collect();
        let context = &room.context;
        if !rows.is_empty() {
            let found = context.events.get_many(&context.metas, &rows).await?;
            let mut view = View::new(room, build.by, window.access).await?;
            answer.required_state = view.render_state(&found, Shape::InSync).await?;
        }
        answer.removed_state = news.removed;
        let facts = Facts {
            name: news.name,
            avatar: news.avatar,
            members: news.members,
        };
        match window.access {
            // What the room is called now is nobody's business who is no longer in it.
            Access::Departed { .. } => self.describe_past(room, answer, state, facts).await?,
            Access::Joined | Access::Peeking => self.describe(room, answer, facts).await?,
        }
        if answer.initial || !window.seen.is_empty() || window.limited {
            let live_from = self.build.from.map(|from| from.position);
            let is_live =
                |seen: &&Seen| live_from.is_some_and(|from| seen.placed.spot.anchor > from);
            answer.num_live = Some(window.seen.iter().filter(is_live).count());
            let timeline = build.timeline(room, window).await?;
            answer.limited = timeline.limited;
            answer.prev_batch = timeline.prev_batch;
            answer.timeline = timeline.events;
        }
        Ok(())
    }

    /// Name, picture, counts and heroes, as far as they have changed.
    async fn describe(
        &self,
        room: &RoomHandle,
        answer: &mut RoomAnswer,
        facts: Facts,
    ) -> Result<()> {
        let Facts {
            name,
            avatar,
            members,
        } = facts;
        if !(name || avatar || members) {
            return Ok(());
        }
        let db = room.context.store.reader();
        let summary = summaries::one(db, room.meta.row).await?;
        let (current_name, current_avatar) =
            summary.map_or((None, None), |summary| (summary.name, summary.avatar_url));
        let is_unnamed = current_name.is_none();
        let shown =
            |current: Option<String>| (current.is_some() || !answer.initial).then_some(current);
        let (name, avatar) = (
            name.then(|| shown(current_name)).flatten(),
            avatar.then(|| shown(current_avatar)).flatten(),
        );
        answer.name = name;
        answer.avatar = avatar;
        let roster = room.roster().await?;
        if members {
            answer.joined_count = Some(roster.count(Membership::Join));
            answer.invited_count = Some(roster.count(Membership::Invite));
        }
        if is_unnamed {
            let heroes = roster.heroes(&self.build.by.user_id).cloned();
            let heroes = heroes.map(|hero| Hero {
                user_id: hero.user_id,
                displayname: hero.displayname,
                avatar_url: hero.avatar_url,
            });
            answer.heroes = Some(heroes.collect());
        }
        Ok(())
    }

    /// The state that `config` takes and `but` did not.
    async fn taken(
        &self,
        room: &RoomHandle,
        config: &RoomConfig,
        but: Option<&RoomConfig>,
        state: &StateMap,
    ) -> Result<BTreeSet<EventRow>> {
        let keys = room.context.store.state_keys();
        let takes = |event_type: &str, state_key: &str| {
            config.takes(event_type, state_key)
                && !but.is_some_and(|but| but.takes(event_type, state_key))
        };
        if let Some(mut pairs) = config.pairs() {
            pairs.retain(|(event_type, state_key)| takes(event_type, state_key));
            let found = keys.find(&pairs).await?.into_iter().flatten();
            return Ok(found.filter_map(|key| state.get(&key).copied()).collect());
        }
        let all: Vec<StateKeyRow> = state.keys().copied().collect();
        let names = keys.names(&all).await?;
        let taken = names.iter().zip(state.values());
        let taken = taken.filter(|((event_type, state_key), _)| takes(event_type, state_key));
        Ok(taken.map(|(_, row)| *row).collect())
    }

    /// What differs between two states, as far as `config` takes it. Where nothing was left out of the timeline, who loads
    /// members lazily gets all that changed.
    async fn differences(
        &self,
        room: &RoomHandle,
        config: &RoomConfig,
        old: &StateMap,
        new: &StateMap,
        limited: bool,
    ) -> Result<StateNews> {
        let changed: Vec<(StateKeyRow, Option<EventRow>)> = old
            .diff(new)
            .map(|item| match item {
                DiffItem::Add(key, row)
                | DiffItem::Update {
                    new: (key, row), ..
                } => (*key, Some(*row)),
                DiffItem::Remove(key, _) => (*key, None),
            })
            .collect();
        let keys: Vec<StateKeyRow> = changed.iter().map(|(key, _)| *key).collect();
        let names = room.context.store.state_keys().names(&keys).await?;
        let mut news = StateNews::default();
        for ((event_type, state_key), (_, row)) in names.into_iter().zip(changed) {
            news.name |= event_type == "m.room.name";
            news.avatar |= event_type == "m.room.avatar";
            news.members |= event_type == MEMBER;
            let lazily = event_type == MEMBER && config.is_lazy() && !limited;
            if !(lazily || config.takes(&event_type, &state_key)) {
                continue;
            }
            match row {
                Some(row) => {
                    news.rows.insert(row);
                }
                None => news.removed.push((event_type, state_key)),
            }
        }
        Ok(news)
    }

    /// Senders and targets of the timeline whose member events the client does not have.
    async fn needed_members(
        &self,
        room: &RoomHandle,
        sent: &SentRoom,
        seen: &[Seen],
        state: &StateMap,
    ) -> Result<Vec<(StateKeyRow, EventRow)>> {
        let mut users: BTreeSet<OwnedUserId> = BTreeSet::new();
        for seen in seen {
            let event = &seen.placed.event;
            users.insert(event.sender().to_owned());
            if event.event_type() == MEMBER {
                let target = event.state_key().and_then(|key| key.try_into().ok());
                users.extend(target);
            }
        }
        let pairs: Vec<(&str, &str)> = users.iter().map(|user| (MEMBER, user.as_str())).collect();
        let keys = room.context.store.state_keys().find(&pairs).await?;
        Ok(keys
            .into_iter()
            .flatten()
            .filter(|key| !sent.members.contains(key))
            .filter_map(|key| Some((key, *state.get(&key)?)))
            .collect())
    }

    /// When somebody last did something in the room: looked for in the timeline, then further back.
    async fn last_bump(&self, room: &RoomHandle, seen: &[Seen]) -> Result<Option<i64>> {
        if let Some(bump) = bump_among(seen) {
            return Ok(Some(bump));
        }
        let (db, to) = (room.context.store.reader(), self.build.to.position);
        let bump = events::last_of_types(db, room.meta.row, to, &BUMPS).await?;
        Ok(bump.map(Position::get))
    }

    /// The builder of ordinary sync, asked in this way.
    fn with<'b>(&'b self, ask: &'b SyncAsk) -> Build<'b> {
        Build {
            rooms: self.build.rooms,
            by: self.build.by,
            ask,
            from: self.build.from,
            to: self.build.to,
            own_presence: None,
            timeline_max: self.build.timeline_max,
        }
    }
}

/// An ordinary sync with the timeline of this configuration.
fn with_limit(config: &Arc<RoomConfig>) -> SyncAsk {
    let mut filter = FilterDefinition::default();
    let limit = u32::try_from(config.timeline_limit).unwrap_or(u32::MAX);
    filter.room.timeline.limit = Some(limit.into());
    SyncAsk {
        filter: Arc::new(filter),
        ..SyncAsk::default()
    }
}

/// From where on a client has everything that is sent this window.
fn start_of(window: &Window) -> Position {
    if window.limited {
        window.start
    } else {
        Position::MIN
    }
}

/// Whether state may differ after these changes; `None` for unknown ones.
fn may_change_state(change: Option<&RoomChange>) -> bool {
    let is_state = |change: &RoomChange| {
        change.truncated
            || change.resettled
            || change
                .events
                .iter()
                .any(|placed| placed.event.state_key().is_some())
    };
    change.is_none_or(is_state)
}

/// The place of the last thing that somebody did.
fn bump_among(seen: &[Seen]) -> Option<i64> {
    let bump = seen
        .iter()
        .rfind(|seen| BUMPS.contains(&seen.placed.event.event_type()))?;
    Some(bump.placed.spot.anchor.get())
}
