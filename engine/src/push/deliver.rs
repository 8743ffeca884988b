//! Who is to be told of what notifies them, one after another for each user, and again until they have heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use ruma::{OwnedUserId, UserId};
use storage::{
    Plain, Write,
    pushers::{self, Pusher},
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use super::{
    gateway::Gateways,
    kind::PusherKind,
    mail::{MailSettings, Mailer, Post},
    payload,
    scores::{Change, Changes, lock},
    tell::Way,
    turns::Turns,
};
use crate::{Engine, Result, context::Context};

/// How many users are told at once.
const USERS_TOGETHER: usize = 32;

/// By how many of their pushers a user is told at once: one that takes its time holds up no other in what is known when their
/// turn begins. What comes meanwhile waits for it, for a turn and one request at most.
const PUSHERS_TOGETHER: usize = 8;

/// How long a user is told until it is another's turn: longer than one gateway may take.
const TURN: Duration = Duration::from_secs(30);

/// How often it is looked which pushers are due, though nothing has happened.
const TICK: Duration = Duration::from_secs(5);

/// How long a pusher gets after its first failure, in ms. It doubles with each further one.
const RETRY_MS: i64 = 10_000;

/// The longest time between two tries, in ms.
const RETRY_MS_MAX: i64 = 3_600_000;

/// Further ahead than this, in ms, nothing is ever put off; it means that the clock was another one then.
const AHEAD_MS_MAX: i64 = 48 * 3_600_000;

/// The name of the one mail server among the gateways, none of which can have it.
const MAIL_SERVER: &str = "";

/// After how long a notification is given up, in ms.
const GIVEN_UP_MS: i64 = 24 * 3_600_000;

/// How many changes may wait until it is looked who is to be told of them.
const CHANGES_MAX: usize = 10_000;

/// Who is to be told, and in which ways.
#[derive(Default)]
pub(crate) struct Deliveries {
    /// Empty as long as this server reaches no gateways.
    gateways: OnceLock<Arc<dyn Gateways>>,
    /// Empty as long as this server sends no e-mail.
    pub(super) post: OnceLock<Post>,
    turns: Turns,
    /// Whether gateways of plain HTTP are told as well.
    plain: bool,
    /// What has changed since it was last looked who is to be told.
    changes: Mutex<Changes>,
}

impl Deliveries {
    pub(crate) fn new(plain: bool) -> Self {
        Self {
            plain,
            ..Self::default()
        }
    }

    /// How the address of a gateway may begin.
    pub(super) fn schemes(&self) -> &'static [&'static str] {
        match self.plain {
            true => &["https", "http"],
            false => &["https"],
        }
    }

    /// These users may have something to be told.
    pub(crate) fn wake(&self, users: impl IntoIterator<Item = OwnedUserId>) {
        self.turns.wake(users);
    }

    /// This has changed. Who misses it because there is too much of it hears of it with what comes next.
    pub(super) fn note(&self, changes: Changes) {
        let mut noted = lock(&self.changes);
        let anybody = self.gateways.get().is_some() || self.post.get().is_some();
        if anybody && noted.len() < CHANGES_MAX {
            noted.extend(changes);
            drop(noted);
            self.turns.more.notify_one();
        }
    }

    fn changes(&self) -> Changes {
        std::mem::take(&mut lock(&self.changes))
    }
}

impl Context {
    /// Wakes those who are to be told of these changes. One query for all rooms in which something notifies all, or does no
    /// more.
    pub(super) async fn wake_pushers(&self, changes: &Changes) -> Result<()> {
        let (mut users, mut rooms) = (BTreeSet::new(), BTreeSet::new());
        for (_, change) in changes {
            match change.as_ref() {
                Change::Event {
                    room, all, some, ..
                } => {
                    users.extend(some.keys().cloned());
                    if all.0 > 0 {
                        rooms.insert(*room);
                    }
                }
                Change::Read { user, .. } | Change::Moved { user, .. } => {
                    users.insert(user.clone());
                }
                Change::Withdrawn { room, .. } => {
                    rooms.insert(*room);
                }
            }
        }
        if !rooms.is_empty() {
            let found = pushers::users_in(self.store.reader(), &rooms).await?;
            users.extend(found.iter().filter_map(|user| UserId::parse(user).ok()));
        }
        if !users.is_empty() {
            self.deliveries.wake(users);
        }
        Ok(())
    }

    /// Tells one user all that their pushers were not told, by some of them side by side, until their turn is over; they get
    /// another one then, as does a pusher that is set meanwhile. One that fails is in no other's way.
    async fn push_to(&self, user: &OwnedUserId) -> Result<()> {
        let until = Instant::now() + TURN;
        let now_ms = self.clock.steady_ms();
        let mut due = pushers::of_user(self.store.reader(), user).await?;
        due.retain(|pusher| is_due(pusher.retry_ts, now_ms));
        let telling = stream::iter(due).for_each_concurrent(PUSHERS_TOGETHER, async |pusher| {
            if Instant::now() >= until {
                self.deliveries.wake([user.clone()]);
            } else if let Err(error) = self.push_by(user, pusher, until).await {
                report(&error);
            }
        });
        telling.await;
        Ok(())
    }

    /// Tells one user all that one pusher was not told, unless its gateway is busy with others.
    async fn push_by(&self, user: &OwnedUserId, pusher: Pusher, until: Instant) -> Result<()> {
        let ways = &self.deliveries;
        match PusherKind::named(&pusher.kind) {
            Some(PusherKind::Email) => {
                if let Some(post) = ways.post.get()
                    && let Some(_place) = ways.turns.place(MAIL_SERVER, user)
                {
                    self.mail(post, user, pusher).await?;
                }
            }
            Some(kind @ (PusherKind::Http | PusherKind::Web)) => {
                let gateway = payload::gateway(&pusher)?;
                if let Some(gateways) = ways.gateways.get()
                    && let Some(_place) = ways.turns.place(&gateway, user)
                {
                    let way = Way {
                        gateways: gateways.as_ref(),
                        kind,
                        until,
                    };
                    self.push(&way, user, pusher).await?;
                }
            }
            None => tracing::error!(kind = pusher.kind, "a pusher of an unknown kind"),
        }
        Ok(())
    }

    /// Notes that a pusher could not be told when that was begun at `now_ms`. Answers whether to go on all the same: nobody
    /// wants to hear after so long.
    pub(super) async fn failed(
        &self,
        pusher: &mut Pusher,
        now_ms: i64,
        error: &(dyn std::error::Error + Send + Sync),
    ) -> Result<bool> {
        tracing::info!(user = %pusher.user_id, app = %pusher.app_id, %error, "a notification waits");
        if pusher.failures == 0 {
            pusher.failing_ts = now_ms;
        }
        if now_ms.saturating_sub(pusher.failing_ts) >= GIVEN_UP_MS {
            // The next ones may be of use again.
            succeeded(pusher);
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

    /// Writes down how a pusher stands, unless it is gone.
    pub(super) async fn keep(&self, pusher: &Pusher) -> Result<()> {
        let stands = pushers::stands(pusher);
        self.store.write(Write::plain(vec![stands])).await?;
        Ok(())
    }

    /// Deletes a pusher that leads nowhere any more.
    pub(super) async fn drop_pusher(&self, user: &UserId, pusher: &Pusher) -> Result<()> {
        tracing::info!(%user, app = %pusher.app_id, kind = %pusher.kind, "a pusher leads nowhere any more");
        let delete = Plain::PusherDelete {
            user_id: user.to_owned(),
            app_id: pusher.app_id.clone(),
            pushkey: pusher.pushkey.clone(),
        };
        self.store.write(Write::plain(vec![delete])).await?;
        Ok(())
    }
}

/// A pusher could be told.
pub(super) fn succeeded(pusher: &mut Pusher) {
    (pusher.failures, pusher.failing_ts, pusher.retry_ts) = (0, 0, 0);
}

impl Engine {
    /// Has the engine tell push gateways from now on. Only the first call counts.
    pub fn connect_gateways(&self, gateways: Arc<dyn Gateways>) {
        // A second call is a mistake of the wiring and changes nothing.
        let _ = self.context.deliveries.gateways.set(gateways);
    }

    /// Has the engine send e-mails from now on. Only the first call counts.
    pub fn connect_mailer(&self, mailer: Arc<dyn Mailer>, settings: MailSettings) {
        // As above.
        let _ = self.context.deliveries.post.set(Post { mailer, settings });
    }

    /// Tells users, by all their pushers, what notifies them. Never returns; to be run in the background.
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
        // Not a sleep, which would begin anew with all that happens.
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.context.deliveries.turns.more.notified() => {}
                _ = ticks.tick() => {
                    self.context.deliveries.turns.wake_put_off();
                    self.wake_due().await;
                }
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
                let Some(user) = self.context.deliveries.turns.next(&running) else {
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

    /// Wakes those who have pushers that are due.
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
    tracing::error!(error, "cannot tell users what notifies them");
}
