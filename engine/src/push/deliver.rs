//! Telling push gateways what notifies their users, one after another for each user, and again until they have heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use ruma::{OwnedUserId, UserId};
use storage::{
    Limit, Plain, Position, RoomRow, Write,
    notifications::{self, EVERYBODY, Notification},
    pushers::{self, Pusher},
};
use tokio::{
    sync::{Notify, Semaphore},
    task::{self, JoinSet},
};

use super::{
    gateway::Gateways,
    payload::{self, Shown},
    reading::Readings,
    scores::{Change, Changes, lock},
};
use crate::{Engine, Result, context::Context};

/// For how many users gateways are told at once.
const USERS_TOGETHER: usize = 32;

/// How many notifications are read at once.
const ROWS: u64 = 200;

/// How often it is looked which gateways are to be tried again.
const TICK: Duration = Duration::from_secs(5);

/// How long a gateway gets after its first failure, in ms. It doubles with each further one.
const RETRY_MS: i64 = 10_000;

/// The longest time between two tries, in ms.
const RETRY_MS_MAX: i64 = 3_600_000;

/// Further ahead than this, in ms, nothing is ever put off; it means that the clock was another one then.
const AHEAD_MS_MAX: i64 = 48 * 3_600_000;

/// After how long a notification is given up, in ms.
const GIVEN_UP_MS: i64 = 24 * 3_600_000;

/// How many changes may wait until it is looked who is to be told of them.
const CHANGES_MAX: usize = 10_000;

/// Who waits to be told.
#[derive(Default)]
pub(crate) struct Deliveries {
    /// Empty as long as this server reaches no gateways.
    gateways: OnceLock<Arc<dyn Gateways>>,
    waiting: Mutex<BTreeSet<OwnedUserId>>,
    /// What has changed since it was last looked who is to be told.
    changes: Mutex<Changes>,
    more: Notify,
}

impl Deliveries {
    /// These users may have something to be told.
    pub(crate) fn wake(&self, users: impl IntoIterator<Item = OwnedUserId>) {
        lock(&self.waiting).extend(users);
        self.more.notify_one();
    }

    /// This has changed. Who misses it because there is too much of it hears of it with what comes next.
    pub(super) fn note(&self, changes: Changes) {
        let mut noted = lock(&self.changes);
        if self.gateways.get().is_some() && noted.len() < CHANGES_MAX {
            noted.extend(changes);
            drop(noted);
            self.more.notify_one();
        }
    }

    fn changes(&self) -> Changes {
        std::mem::take(&mut lock(&self.changes))
    }

    /// Somebody who waits and is not being told already.
    fn next(&self, running: &BTreeMap<task::Id, OwnedUserId>) -> Option<OwnedUserId> {
        let mut waiting = lock(&self.waiting);
        let free = |user: &&OwnedUserId| !running.values().any(|other| other == *user);
        let next = waiting.iter().find(free)?.clone();
        waiting.take(&next)
    }
}

impl Context {
    /// Wakes those who are to be told of these changes, which are stored. One query for each event that notifies all, or
    /// does no more.
    pub(super) async fn wake_pushers(&self, changes: &Changes) -> Result<()> {
        let mut users = BTreeSet::new();
        for (_, change) in changes {
            match change.as_ref() {
                Change::Event {
                    room, all, some, ..
                } => {
                    users.extend(some.keys().cloned());
                    if all.0 > 0 {
                        let found = pushers::users_in(self.store.reader(), *room).await?;
                        let found = found.iter().filter_map(|user| UserId::parse(user).ok());
                        users.extend(found);
                    }
                }
                Change::Read { user, .. } | Change::Moved { user, .. } => {
                    users.insert(user.clone());
                }
                Change::Withdrawn { room, .. } => {
                    let found = pushers::users_in(self.store.reader(), *room).await?;
                    users.extend(found.iter().filter_map(|user| UserId::parse(user).ok()));
                }
            }
        }
        if !users.is_empty() {
            self.deliveries.wake(users);
        }
        Ok(())
    }

    /// Tells the gateways of one user all that they do not know.
    async fn push_to(&self, user: &UserId) -> Result<()> {
        let Some(gateways) = self.deliveries.gateways.get() else {
            return Ok(());
        };
        let now_ms = self.clock.steady_ms();
        for pusher in pushers::of_user(self.store.reader(), user).await? {
            if pusher.failures == 0 || is_due(pusher.retry_ts, now_ms) {
                self.push(gateways.as_ref(), user, pusher).await?;
            }
        }
        Ok(())
    }

    /// Tells one gateway what it does not know, oldest first, until it fails.
    async fn push(&self, gateways: &dyn Gateways, user: &UserId, mut pusher: Pusher) -> Result<()> {
        loop {
            let page = self.pending(user, pusher.done).await?;
            for (position, row) in page.rows {
                let body = match row {
                    Some(row) => self.describe(user, &pusher, &row).await?,
                    None => None,
                };
                if let Some((body, badge)) = body
                    && !self.tell(gateways, &mut pusher, body, badge).await?
                {
                    return Ok(());
                }
                pusher.done = position;
            }
            pusher.done = pusher.done.max(page.end);
            // What came meanwhile is told before the count that has it.
            if page.last && self.scores.last() <= page.end {
                break;
            }
        }
        self.tell_count(gateways, user, &mut pusher).await?;
        self.keep(&pusher).await
    }

    /// Tells how much is unread, if that has changed and nothing else tells it.
    async fn tell_count(
        &self,
        gateways: &dyn Gateways,
        user: &UserId,
        pusher: &mut Pusher,
    ) -> Result<()> {
        let badge = self.badge(user).await?;
        if badge != pusher.badge {
            let body = payload::of_count(pusher, badge)?;
            self.tell(gateways, pusher, body, badge).await?;
        }
        Ok(())
    }

    /// How much is unread to a user in all rooms.
    async fn badge(&self, user: &UserId) -> Result<i64> {
        let readings = Readings::of(&self.store, user).await?;
        let rooms: Vec<RoomRow> = readings.rooms().collect();
        let unread = self.unread(user, &rooms).await?;
        let counts = unread.values().flat_map(|tally| tally.threads.values());
        Ok(counts.map(|count| count.notifications).sum())
    }

    /// Posts to a gateway and notes what came of it. Answers whether to go on with this pusher.
    async fn tell(
        &self,
        gateways: &dyn Gateways,
        pusher: &mut Pusher,
        body: String,
        badge: i64,
    ) -> Result<bool> {
        let now_ms = self.clock.steady_ms();
        match gateways.notify(payload::url(pusher)?, body).await {
            Ok(answer) if payload::rejected(&answer).contains(&pusher.pushkey) => {
                let delete = Plain::PusherDelete {
                    user_id: UserId::parse(&*pusher.user_id)
                        .map_err(|error| crate::Error::Internal(error.to_string()))?,
                    app_id: pusher.app_id.clone(),
                    pushkey: pusher.pushkey.clone(),
                };
                self.store.write(Write::plain(vec![delete])).await?;
                Ok(false)
            }
            Ok(_) => {
                (pusher.failures, pusher.failing_ts, pusher.retry_ts) = (0, 0, 0);
                pusher.badge = badge;
                Ok(true)
            }
            Err(error) => {
                tracing::info!(user = %pusher.user_id, app = %pusher.app_id, %error, "a notification waits");
                if pusher.failures == 0 {
                    pusher.failing_ts = now_ms;
                }
                if now_ms.saturating_sub(pusher.failing_ts) >= GIVEN_UP_MS {
                    // The next ones may be of use again.
                    (pusher.failures, pusher.failing_ts, pusher.retry_ts) = (0, 0, 0);
                    return Ok(true);
                }
                let doubled = RETRY_MS.checked_shl(u32::try_from(pusher.failures).unwrap_or(0));
                let wait = doubled
                    .unwrap_or(RETRY_MS_MAX)
                    .clamp(RETRY_MS, RETRY_MS_MAX);
                pusher.failures = (pusher.failures + 1).min(30);
                pusher.retry_ts = now_ms.saturating_add(wait);
                self.keep(pusher).await?;
                Ok(false)
            }
        }
    }

    /// Writes down how a pusher stands, unless it is gone.
    async fn keep(&self, pusher: &Pusher) -> Result<()> {
        let stands = pushers::stands(pusher);
        self.store.write(Write::plain(vec![stands])).await?;
        Ok(())
    }
}

/// Some of what a gateway may not know, oldest first.
struct Pending {
    /// By position; `None` is not to be told.
    rows: Vec<(Position, Option<Notification>)>,
    /// Up to where these are all.
    end: Position,
    /// Whether nothing comes after them yet.
    last: bool,
}

impl Context {
    /// What notifies a user after a position and is not read. A few queries for a page.
    async fn pending(&self, user: &UserId, after: Position) -> Result<Pending> {
        let followed = self.scores.last();
        // What is followed may still be on its way to the store: come behind it.
        self.store.write(Write::default()).await?;
        let db = self.store.reader();
        let limit = Limit::new(ROWS);
        let found = notifications::after(db, user, after, followed, limit).await?;
        let readings = Readings::of(&self.store, user).await?;
        let full = |whom: &str| {
            let rows = found.iter().filter(|row| row.user_id == whom);
            let full = rows.clone().count() as u64 == ROWS;
            rows.map(|row| row.position).max().filter(|_| full)
        };
        let cut = [full(EVERYBODY), full(user.as_str())];
        let cut = cut.into_iter().flatten().min();
        let end = cut.unwrap_or(followed);
        let mut rows: BTreeMap<Position, Option<Notification>> = BTreeMap::new();
        for row in found.into_iter().filter(|row| row.position <= end) {
            let own = row.user_id != EVERYBODY;
            let here = own || readings.is_in(row.room, row.position);
            let told = here && !row.actions.is_empty() && !readings.has_read(&row);
            let position = row.position;
            let told = told.then_some(row);
            if own {
                rows.insert(position, told);
            } else {
                rows.entry(position).or_insert(told);
            }
        }
        Ok(Pending {
            rows: rows.into_iter().collect(),
            end,
            last: cut.is_none(),
        })
    }

    /// The notification of one event, and the count in it; `None` if its user sent it.
    async fn describe(
        &self,
        user: &UserId,
        pusher: &Pusher,
        row: &Notification,
    ) -> Result<Option<(String, i64)>> {
        let found = self.events.find_many(&self.metas, &[row.event]).await?;
        let Some(known) = found.first() else {
            return Ok(None);
        };
        let event = &known.event;
        if event.sender() == user {
            return Ok(None);
        }
        let pairs = [
            ("m.room.member", event.sender().as_str()),
            ("m.room.name", ""),
            ("m.room.canonical_alias", ""),
        ];
        let state = self.state_events(known.snapshot, &pairs).await?;
        let text = |index: usize, key: &str| {
            let (event_type, state_key) = pairs[index];
            match &state[index] {
                Some(found) => text(found.event.content().get(key)),
                // The room of an invite, as the inviting server shows it.
                None => text(shown_with(event, event_type, state_key)?.get(key)),
            }
        };
        let shown = Shown {
            event,
            sender_display_name: text(0, "displayname"),
            room_name: text(1, "name"),
            room_alias: text(2, "alias"),
            user_is_target: event.is("m.room.member", user.as_str()),
            actions: serde_json::from_str(&row.actions)
                .map_err(|error| crate::Error::Internal(format!("push actions: {error}")))?,
        };
        let badge = self.badge(user).await?;
        Ok(Some((payload::of_event(pusher, &shown, badge)?, badge)))
    }
}

fn text(value: Option<&spec::json::Value>) -> Option<String> {
    Some(value?.as_str()?.to_owned())
}

/// The content of a state event that came along with an invite.
fn shown_with<'a>(
    invite: &'a spec::event::Event,
    event_type: &str,
    state_key: &str,
) -> Option<&'a spec::json::Value> {
    let list = invite.unsigned()?.get("invite_room_state")?.as_array()?;
    let is = |event: &&spec::json::Value, key: &str, text: &str| {
        event.get(key).and_then(|value| value.as_str()) == Some(text)
    };
    let mut found = list
        .iter()
        .filter(|event| is(event, "type", event_type) && is(event, "state_key", state_key));
    found.next()?.get("content")
}

impl Engine {
    /// Has the engine tell push gateways from now on. Only the first call counts.
    pub fn connect_gateways(&self, gateways: Arc<dyn Gateways>) {
        // A second call is a mistake of the wiring and changes nothing.
        let _ = self.context.deliveries.gateways.set(gateways);
    }

    /// Tells push gateways what notifies their users. Never returns; to be run in the background.
    pub async fn run_pushers(&self) {
        // Some may have missed something while the server was down. What notifies them has to be known before that is seen.
        let position = self.context.notifier.position();
        if let Err(error) = self.context.scored(position).await {
            report(&error);
        }
        match pushers::users(self.context.store.reader()).await {
            Ok(users) => self.wake_users(&users),
            Err(error) => report(&error),
        }
        let slots = Arc::new(Semaphore::new(USERS_TOGETHER));
        let (mut tasks, mut running) = (JoinSet::new(), BTreeMap::new());
        loop {
            tokio::select! {
                () = self.context.deliveries.more.notified() => {}
                () = tokio::time::sleep(TICK) => self.wake_due().await,
                Some(ended) = tasks.join_next_with_id() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => error.id(),
                    };
                    running.remove(&id);
                }
            }
            let changes = self.context.deliveries.changes();
            if let Err(error) = self.context.wake_pushers(&changes).await {
                report(&error);
            }
            while let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                let Some(user) = self.context.deliveries.next(&running) else {
                    break;
                };
                let (context, for_task) = (Arc::clone(&self.context), user.clone());
                let task = tasks.spawn(async move {
                    if let Err(error) = context.push_to(&for_task).await {
                        report(&error);
                    }
                    drop(slot);
                });
                running.insert(task.id(), user);
            }
        }
    }

    /// Wakes those whose gateways are to be tried again.
    async fn wake_due(&self) {
        let now_ms = self.context.clock.steady_ms();
        match pushers::due(self.context.store.reader(), now_ms, AHEAD_MS_MAX).await {
            Ok(users) => self.wake_users(&users),
            Err(error) => report(&error),
        }
    }

    fn wake_users(&self, users: &[String]) {
        let users = users.iter().filter_map(|user| UserId::parse(user).ok());
        self.context.deliveries.wake(users);
    }
}

/// Whether a time to try again has come, or is so far away that the clock was another one when it was set.
fn is_due(retry_ts: i64, now_ms: i64) -> bool {
    retry_ts <= now_ms || retry_ts > now_ms.saturating_add(AHEAD_MS_MAX)
}

fn report(error: &(dyn std::error::Error + 'static)) {
    tracing::error!(error, "cannot tell push gateways");
}
