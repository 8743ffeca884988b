//! Whom an event notifies, by the rules of those who may see it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ruma::{
    EventId, OwnedUserId, UInt, UserId,
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
    Plain, RoomRow, SnapshotRow,
    members::Membership,
    notifications::{self, EVERYBODY, MAIN, Notification},
    thread_subscriptions,
    write::Outcome as Fate,
};

use super::{
    defaults,
    follow::{News, is_join, reading},
    outcome::{self, Outcome},
    personal::Rules,
    scores::{Change, Followed, is_local, lock},
};
use crate::{
    Result,
    context::Context,
    events::KnownEvent,
    relations::thread,
    render::{self, Shape, Unsigned},
};

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

impl Context {
    /// Whom an event notifies.
    pub(super) async fn notify(&self, news: &News<'_>, followed: &mut Followed) -> Result<()> {
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
