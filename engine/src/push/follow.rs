//! Following the log: what each entry of it changes for the counts of this server's users.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId, OwnedUserId, UInt, UserId,
    power_levels::NotificationPowerLevels,
    push::{FlattenedJson, PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset},
    room_version_rules::{AuthorizationRules, RoomPowerLevelsRules},
    serde::Raw,
};
use spec::{
    auth::{Power, PowerLevels},
    event::Event,
    json,
};
use storage::{
    EventRow, Limit, Logged, Plain, Position, RoomRow, SnapshotRow, events,
    members::Membership,
    notifications::{self, EVERYBODY, MAIN, Notification, Reading},
    receipts, thread_subscriptions,
    timeline::Spot,
    write::{NewEvent, NewMembership, Outcome as Fate},
};

use super::{
    defaults,
    outcome::{self, Outcome},
    personal::{IGNORED_USERS, Rules},
    rules::PUSH_RULES,
    scores::{Change, Followed, is_local, lock},
};
use crate::{
    Result,
    context::Context,
    events::KnownEvent,
    relations::thread,
    render::{self, Shape, Unsigned},
    room::new_membership,
};

/// How many stored events are read at once.
const PAGE: u64 = 500;

/// How many users that an event mentions are looked at; who is mentioned after them is notified as everybody is.
const MENTIONS_MAX: usize = 200;

/// How many notifications of a room are kept; as many may be unread there. Who has more sees this number.
const KEPT: u64 = 2_000;

/// After how many more of them old ones are deleted.
const PRUNE_EVERY: u64 = 500;

/// For how many rooms it is counted how many notifications they got.
const GROWN_MAX: usize = 10_000;

/// Whom the rules are tried for that speak of nobody: no user of any server, since no server can have this name.
const NOBODY: &str = "@nobody:rookery.invalid";

/// An event of the log.
struct News<'a> {
    position: Position,
    room: RoomRow,
    row: EventRow,
    event: &'a Event,
    fate: Fate,
    /// The state before it.
    snapshot: Option<SnapshotRow>,
    /// The state of the room with it.
    current: Option<SnapshotRow>,
    replaces: Option<EventRow>,
    /// Whether nothing of it is to be seen any more.
    redacted: bool,
    /// What it makes of a user of this server.
    member: Option<NewMembership>,
}

impl Context {
    /// Follows these entries. One that cannot be followed is left out, so that it does not hold up all others.
    pub(super) async fn follow(&self, entries: &[(Position, Arc<Logged>)]) -> Followed {
        let mut followed = Followed::default();
        for (position, logged) in entries {
            let done = match logged.as_ref() {
                Logged::Event(new) => match self.news(*position, new).await {
                    Ok(news) => self.follow_event(news, &mut followed).await,
                    Err(error) => Err(error),
                },
                Logged::Receipt(new) => {
                    let thread = (new.thread_id.as_str(), &*new.event_id);
                    self.follow_receipt(*position, new.room, &new.user_id, thread, &mut followed)
                        .await
                }
                Logged::ThreadSubscription(_) => Ok(()),
                Logged::AccountData(new) => {
                    let personal = [PUSH_RULES, IGNORED_USERS].contains(&new.event_type.as_str());
                    if personal && new.room.is_none() {
                        self.personal_changes(&new.user_id).await
                    } else {
                        Ok(())
                    }
                }
            };
            report(*position, done);
        }
        followed
    }

    /// The same from the store, for entries after `at` up to `end`: at most a page of them. Answers how far it came.
    pub(super) async fn follow_stored(
        &self,
        at: Position,
        end: Position,
    ) -> Result<(Position, Followed)> {
        let db = self.store.reader();
        // Rules may have changed in what was missed.
        self.forget_personal();
        let stored = notifications::news(db, at, end, Limit::new(PAGE)).await?;
        let last = stored.last().and_then(|event| event.position);
        let reached = match last {
            Some(last) if stored.len() as u64 == PAGE => last,
            _ => end,
        };
        let mut receipts = receipts::changed(db, at, reached)
            .await?
            .into_iter()
            .peekable();
        let unreadable = self.metas.unreadable().await?;
        let mut followed = Followed::default();
        for event in stored {
            let Some(position) = event.position.filter(|_| !unreadable.contains(&event.room))
            else {
                continue;
            };
            while let Some(receipt) = receipts.next_if(|receipt| receipt.position < position) {
                self.follow_stored_receipt(&receipt, &mut followed).await;
            }
            let meta = self.metas.by_row(event.room).await?;
            let parsed = event.parse(meta.version)?;
            let news = News {
                position,
                room: event.room,
                row: event.id,
                fate: event.outcome,
                snapshot: event.snapshot,
                current: event.current,
                replaces: event.replaces,
                redacted: event.redacted_by.is_some(),
                member: new_membership(&parsed),
                event: &parsed,
            };
            report(position, self.follow_event(news, &mut followed).await);
        }
        for receipt in receipts {
            self.follow_stored_receipt(&receipt, &mut followed).await;
        }
        Ok((reached, followed))
    }

    async fn follow_stored_receipt(
        &self,
        receipt: &receipts::StoredReceipt,
        followed: &mut Followed,
    ) {
        let user = UserId::parse(receipt.user_id.as_str());
        let event = EventId::parse(receipt.event_id.as_str());
        if let (Ok(user), Ok(event)) = (user, event) {
            let thread = (receipt.thread_id.as_str(), &*event);
            let done = self
                .follow_receipt(receipt.position, receipt.room, &user, thread, followed)
                .await;
            report(receipt.position, done);
        }
    }

    async fn news<'a>(&self, position: Position, new: &'a NewEvent) -> Result<News<'a>> {
        let found = self.events.find_many(&self.metas, &[new.row]).await?;
        Ok(News {
            position,
            room: new.room,
            row: new.row,
            event: &new.event,
            fate: new.outcome,
            snapshot: new.snapshot,
            current: new.current,
            replaces: new.replaces,
            // What has been deleted since counts as little.
            redacted: found
                .first()
                .is_none_or(|known| known.redacted_by.is_some()),
            member: new.membership.clone(),
        })
    }

    /// A receipt: its user has read up to the event. One that is not here yet is waited for.
    async fn follow_receipt(
        &self,
        position: Position,
        room: RoomRow,
        user: &UserId,
        (thread, event_id): (&str, &EventId),
        followed: &mut Followed,
    ) -> Result<()> {
        if !is_local(self, user) {
            return Ok(());
        }
        let Some(stored) = events::by_id(self.store.reader(), event_id).await? else {
            self.scores.awaited.insert(event_id.to_owned(), ());
            return Ok(());
        };
        if let Some(spot) = stored.spot().filter(|_| stored.room == room) {
            followed.reads(position, room, user, thread, read_by(spot));
        }
        Ok(())
    }

    /// Waits once more for what had been read before it came when the server stopped, as far as the last receipts tell. What
    /// has been followed long since is among it, and costs a place.
    pub(super) async fn await_again(&self) -> Result<()> {
        for receipt in receipts::latest(self.store.reader(), Limit::MAX).await? {
            if let (Ok(event_id), Ok(user)) = (
                OwnedEventId::try_from(receipt.event_id),
                UserId::parse(receipt.user_id),
            ) && is_local(self, &user)
            {
                self.scores.awaited.insert(event_id, ());
            }
        }
        Ok(())
    }

    /// Those of this server who have read an event before it came. One query if anybody may have, none otherwise.
    async fn follow_awaited(&self, news: &News<'_>, followed: &mut Followed) -> Result<()> {
        let event_id = news.event.id();
        if self.scores.awaited.get(event_id).is_none() {
            return Ok(());
        }
        // What they have read since takes the place of it.
        let receipts = receipts::of_events(self.store.reader(), &[event_id.as_str()]).await?;
        self.scores.awaited.remove(event_id);
        for receipt in receipts.iter().filter(|receipt| receipt.room == news.room) {
            if let Ok(user) = UserId::parse(receipt.user_id.as_str())
                && is_local(self, &user)
            {
                let (thread, up_to) = (&*receipt.thread_id, news.position);
                followed.reads(news.position, news.room, &user, thread, up_to);
            }
        }
        Ok(())
    }

    async fn follow_event(&self, news: News<'_>, followed: &mut Followed) -> Result<()> {
        match news.fate {
            Fate::Accepted => self.notify(&news, followed).await?,
            // The invite to a room that this server is not in.
            Fate::Outlier if news.member.is_some() => self.notify(&news, followed).await?,
            Fate::Outlier | Fate::SoftFailed | Fate::Rejected => return Ok(()),
        }
        self.follow_awaited(&news, followed).await?;
        if news.event.event_type() == "m.room.redaction" {
            self.withdraw(&news, followed).await?;
        }
        self.follow_member(&news, followed).await
    }

    /// What is redacted notifies nobody any more.
    async fn withdraw(&self, news: &News<'_>, followed: &mut Followed) -> Result<()> {
        let Some(target) = news.event.redacts() else {
            return Ok(());
        };
        let stored = events::by_id(self.store.reader(), target).await?;
        let redacted = stored.filter(|stored| stored.room == news.room);
        let redacted = redacted.filter(|stored| stored.redacted_by.is_some());
        let Some((row, at)) = redacted.and_then(|stored| Some((stored.id, stored.position?)))
        else {
            return Ok(());
        };
        followed.notifications.retain(|noted| noted.event != row);
        followed.plain.push(Plain::NotificationsWithdrawn {
            room: news.room,
            position: at,
        });
        let change = Change::Withdrawn {
            room: news.room,
            at,
        };
        followed.changes.push((news.position, Arc::new(change)));
        Ok(())
    }

    /// What somebody of this server has become in a room.
    async fn follow_member(&self, news: &News<'_>, followed: &mut Followed) -> Result<()> {
        let member = news.member.as_ref();
        let Some(member) = member.filter(|member| is_local(self, &member.user_id)) else {
            return Ok(());
        };
        let (user_id, room) = (member.user_id.clone(), news.room);
        let joins = member.membership == Membership::Join;
        let was_joined = match news.replaces {
            Some(row) => is_join(&self.events.get(&self.metas, row).await?.event),
            None => false,
        };
        if joins == was_joined {
            return Ok(());
        }
        followed.plain.push(match joins {
            true => Plain::ReadingBegins {
                user_id: user_id.clone(),
                room,
                position: news.position,
            },
            false => Plain::ReadingEnds {
                user_id: user_id.clone(),
                room,
            },
        });
        self.personal_moves(room, &user_id, joins).await?;
        let change = Change::Moved {
            room,
            user: user_id,
        };
        followed.changes.push((news.position, Arc::new(change)));
        Ok(())
    }

    /// Whom an event notifies.
    async fn notify(&self, news: &News<'_>, followed: &mut Followed) -> Result<()> {
        let sender = news.event.sender();
        let root = thread::of(self, news.room, news.event).await?;
        let thread = root.as_ref().map_or(MAIN, |root| root.as_str()).to_owned();
        let own = is_local(self, sender).then(|| sender.to_owned());
        if own.is_some() && news.fate == Fate::Accepted {
            followed
                .plain
                .push(reading(news.room, sender, &thread, news.position));
        }
        let (everybody, some) = match news.redacted {
            true => (Outcome::default(), Vec::new()),
            false => self.outcomes(news, root.as_deref()).await?,
        };
        let noted_ts = self.clock.steady_ms();
        let row = |user: &str, outcome: &Outcome, than: &Outcome| Notification {
            room: news.room,
            user_id: user.to_owned(),
            position: news.position,
            event: news.row,
            thread: thread.clone(),
            notify: i64::from(outcome.notify) - i64::from(than.notify),
            highlight: i64::from(outcome.highlight) - i64::from(than.highlight),
            actions: outcome.actions.clone(),
            noted_ts,
        };
        let rows = &mut followed.notifications;
        if everybody.notify {
            rows.push(row(EVERYBODY, &everybody, &Outcome::default()));
            followed.plain.extend(self.prune(news.room).await?);
        }
        let mut differences = BTreeMap::new();
        for (user, outcome) in some {
            if outcome != everybody {
                let row = row(user.as_str(), &outcome, &everybody);
                differences.insert(user, (row.notify, row.highlight));
                rows.push(row);
            }
        }
        if own.is_none() && !everybody.notify && differences.is_empty() {
            return Ok(());
        }
        let change = Change::Event {
            room: news.room,
            own,
            thread,
            all: (i64::from(everybody.notify), i64::from(everybody.highlight)),
            some: differences,
        };
        followed.changes.push((news.position, Arc::new(change)));
        Ok(())
    }

    /// What the event does for everybody in the room, and for those who have to be looked at one by one.
    async fn outcomes(
        &self,
        news: &News<'_>,
        thread: Option<&EventId>,
    ) -> Result<(Outcome, Vec<(OwnedUserId, Outcome)>)> {
        let sender = news.event.sender();
        let here = news.fate == Fate::Accepted;
        let personal = match here {
            true => self.personal_in(news.room).await?,
            false => Arc::default(),
        };
        let mut users: BTreeSet<OwnedUserId> = personal.iter().cloned().collect();
        users.extend(self.mentioned(news).await?);
        let member = news.member.as_ref();
        let invited = member.filter(|member| member.membership == Membership::Invite);
        let invited = invited.filter(|member| is_local(self, &member.user_id));
        users.extend(invited.map(|member| member.user_id.clone()));
        users.remove(sender);

        let raw: Raw<json::Object> =
            render::client_event(news.event, Shape::Whole, &Unsigned::default());
        let flat = FlattenedJson::from_raw(&raw);
        let ids: Vec<&UserId> = users.iter().map(AsRef::as_ref).collect();
        let rules = self.rules_of(&ids).await?;
        let ignored = self.ignores.of_many(&ids).await?;
        let names = self.names(news.snapshot, &rules).await?;
        let followers = self.followers(news.room, thread, &rules).await?;
        let asks_for_power = rules.values().any(|rules| rules.asks_for_power);
        let levels = match asks_for_power || mentions_the_room(news.event) {
            true => self.levels(news).await?,
            false => None,
        };
        let mut context = self.condition_context(news, levels.as_ref()).await?;
        let everybody = match here {
            true => outcome::of(&common_rules(), &flat, &context).await?,
            false => Outcome::default(),
        };
        let mut some = Vec::with_capacity(users.len());
        for user in users {
            let Some(rules) = rules.get(&user) else {
                continue;
            };
            let is_invite = invited.is_some_and(|member| member.user_id == user);
            if ignored
                .get(&user)
                .is_some_and(|ignored| ignored.contains(sender))
                || is_invite && !self.wants_invite(&user, sender).await?
            {
                some.push((user, Outcome::default()));
                continue;
            }
            context.user_display_name = names.get(&user).cloned().unwrap_or_default();
            context.user_id.clone_from(&user);
            let mut ruleset = rules.ruleset(&user);
            if rules.asks_for_power
                && let Some(levels) = &levels
            {
                outcome::decide_power(ruleset.to_mut(), |kind| may_notify(levels, sender, kind));
            }
            if rules.asks_for_threads && thread.is_some() {
                outcome::decide_thread(ruleset.to_mut(), followers.contains(user.as_str()));
            }
            let outcome = outcome::of(&ruleset, &flat, &context).await?;
            some.push((user, outcome));
        }
        Ok((everybody, some))
    }

    /// Those who follow the thread of an event and whose rules ask for it. One query for 256 of these.
    async fn followers(
        &self,
        room: RoomRow,
        thread: Option<&EventId>,
        rules: &HashMap<OwnedUserId, Arc<Rules>>,
    ) -> Result<BTreeSet<String>> {
        let asking = rules.iter().filter(|(_, rules)| rules.asks_for_threads);
        let asking: Vec<&UserId> = asking.map(|(user, _)| user.as_ref()).collect();
        match thread {
            Some(root) if !asking.is_empty() => {
                let db = self.store.reader();
                let found = thread_subscriptions::followers(db, room, root, &asking).await?;
                Ok(found.into_iter().collect())
            }
            _ => Ok(BTreeSet::new()),
        }
    }

    /// What the conditions of rules may look at besides the event: the room as it is at it.
    async fn condition_context(
        &self,
        news: &News<'_>,
        levels: Option<&PowerLevels>,
    ) -> Result<PushConditionRoomCtx> {
        let members = match news.fate {
            Fate::Accepted => {
                let state = news.current.or(news.snapshot);
                self.servers_at(news.room, state).await?.joined()
            }
            _ => 0,
        };
        let nobody = UserId::parse(NOBODY).expect("it is written as user IDs are");
        let context = PushConditionRoomCtx::new(
            news.event.room_id().to_owned(),
            UInt::new_saturating(members),
            nobody,
            String::new(),
        );
        let Some(levels) = levels else {
            return Ok(context);
        };
        let integer = |level: i64| ruma::Int::new_saturating(level);
        let level = match levels.user(news.event.sender().as_str()) {
            Power::Level(level) => integer(level),
            Power::Infinite => ruma::Int::MAX,
        };
        let mut notifications = NotificationPowerLevels::new();
        notifications.room = integer(levels.notification("room"));
        // Creators who stand above all are in the level already.
        let rules = RoomPowerLevelsRules::new(&AuthorizationRules::V1, []);
        let sender = news.event.sender().to_owned();
        Ok(context.with_power_levels(PushConditionPowerLevelsCtx::new(
            BTreeMap::from([(sender, level)]),
            integer(levels.users_default()),
            notifications,
            rules,
        )))
    }

    /// The power levels of the room at an event; `None` in a room that this server does not know.
    async fn levels(&self, news: &News<'_>) -> Result<Option<PowerLevels>> {
        let pairs = [("m.room.create", ""), ("m.room.power_levels", "")];
        let state = self.state_events(news.snapshot, &pairs).await?;
        let [Some(create), levels] = &state[..] else {
            return Ok(None);
        };
        let version = self.metas.by_row(news.room).await?.version;
        let levels = levels.as_ref().map(|levels| levels.event.as_ref());
        Ok(Some(PowerLevels::parse(version, &create.event, levels)))
    }

    /// The users of this server whom an event mentions and who are in the room.
    async fn mentioned(&self, news: &News<'_>) -> Result<Vec<OwnedUserId>> {
        let mentions = news.event.content().get("m.mentions");
        let users = mentions.and_then(|mentions| mentions.get("user_ids")?.as_array());
        let users = users
            .unwrap_or_default()
            .iter()
            .filter_map(|user| user.as_str());
        let users: BTreeSet<OwnedUserId> = users
            .filter_map(|user| UserId::parse(user).ok())
            .filter(|user| is_local(self, user))
            .take(MENTIONS_MAX)
            .collect();
        if users.is_empty() || news.fate != Fate::Accepted {
            return Ok(Vec::new());
        }
        let pairs: Vec<_> = users
            .iter()
            .map(|user| ("m.room.member", user.as_str()))
            .collect();
        let members = self.state_events(news.snapshot, &pairs).await?;
        let joined = users.iter().zip(&members).filter(|(_, member)| {
            let member = member.as_ref();
            member.is_some_and(|member| is_join(&member.event))
        });
        Ok(joined.map(|(user, _)| user.clone()).collect())
    }

    /// What those are called in the room whose rules speak of it.
    async fn names(
        &self,
        state: Option<SnapshotRow>,
        rules: &HashMap<OwnedUserId, Arc<Rules>>,
    ) -> Result<HashMap<OwnedUserId, String>> {
        let named = rules.iter().filter(|(_, rules)| rules.names_the_user);
        let users: Vec<&OwnedUserId> = named.map(|(user, _)| user).collect();
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        let pairs = users.iter().map(|user| ("m.room.member", user.as_str()));
        let members = self.state_events(state, &pairs.collect::<Vec<_>>()).await?;
        let name = |member: Option<Arc<KnownEvent>>| {
            let member = member?;
            let name = member.event.content().get("displayname")?;
            name.as_str().map(str::to_owned)
        };
        let names = users.into_iter().zip(members);
        let names = names.filter_map(|(user, member)| Some((user.clone(), name(member)?)));
        Ok(names.collect())
    }

    /// The events that hold these places in a state, in order.
    pub(super) async fn state_events(
        &self,
        state: Option<SnapshotRow>,
        pairs: &[(&str, &str)],
    ) -> Result<Vec<Option<Arc<KnownEvent>>>> {
        self.events_in(&self.states.get(state).await?, pairs).await
    }

    /// Deletes old notifications of a room now and then. One query then, none otherwise.
    async fn prune(&self, room: RoomRow) -> Result<Option<Plain>> {
        let due = {
            let mut grown = lock(&self.scores.grown);
            if grown.len() >= GROWN_MAX {
                grown.clear();
            }
            // At the first one after a start it is looked as well.
            let count = grown.entry(room).or_insert(PRUNE_EVERY - 1);
            *count = (*count + 1) % PRUNE_EVERY;
            *count == 0
        };
        if !due {
            return Ok(None);
        }
        let before = notifications::place_of(self.store.reader(), room, KEPT).await?;
        Ok(before.map(|before| Plain::NotificationsPruned { room, before }))
    }
}

impl Followed {
    /// A user has read up to a place.
    fn reads(
        &mut self,
        position: Position,
        room: RoomRow,
        user: &UserId,
        thread: &str,
        up_to: Position,
    ) {
        self.plain.push(reading(room, user, thread, up_to));
        let change = Change::Read {
            room,
            user: user.to_owned(),
            thread: thread.to_owned(),
            up_to,
        };
        self.changes.push((position, Arc::new(change)));
    }
}

/// The default rules but for those that speak of one user.
fn common_rules() -> Ruleset {
    let nobody = UserId::parse(NOBODY).expect("it is written as user IDs are");
    let mut rules = defaults::of(&nobody);
    let personal = [".m.rule.invite_for_me", ".m.rule.is_user_mention"];
    rules
        .override_
        .retain(|rule| !personal.contains(&rule.rule_id.as_str()));
    rules
}

/// Up to where somebody has read who has read the event at `spot`.
fn read_by(spot: Spot) -> Position {
    match spot.is_history() {
        // It stands in front of its anchor, behind all news before that.
        true => Position(spot.anchor.get() - 1),
        false => spot.position,
    }
}

fn reading(room: RoomRow, user: &UserId, thread: &str, position: Position) -> Plain {
    Plain::Readings(vec![Reading {
        user_id: user.to_string(),
        room,
        thread: thread.to_owned(),
        position,
        since: Position::ZERO,
    }])
}

fn is_join(event: &Event) -> bool {
    let membership = event.content().get("membership");
    membership.and_then(|membership| membership.as_str()) == Some("join")
}

/// Whether the power of a user is enough for a kind of notification.
fn may_notify(levels: &PowerLevels, user: &UserId, kind: &str) -> bool {
    match levels.user(user.as_str()) {
        Power::Level(level) => level >= levels.notification(kind),
        Power::Infinite => true,
    }
}

fn mentions_the_room(event: &Event) -> bool {
    let mentions = event.content().get("m.mentions");
    mentions.and_then(|mentions| mentions.get("room")?.as_bool()) == Some(true)
}

fn report(position: Position, done: Result<()>) {
    if let Err(error) = done {
        let error = &error as &dyn std::error::Error;
        tracing::error!(%position, error, "an entry of the log notifies nobody");
    }
}
