//! User-interactive authentication: client-server API, "User-Interactive Authentication API".
//!
//! A session belongs to one [`Operation`]: what was confirmed for one device, endpoint or user is of no use for another.
//! Sessions live in memory, are bounded in number and in time, and do not survive a restart: a client that names a lost
//! one gets a new one. Checking a password or a token is not done here, only which stage may come when.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use ruma::OwnedUserId;

use super::{register, secret::Secret, token::Hash};
use crate::chance::Chance;

/// How long a session lasts, in milliseconds: enough to find a registration token in one's mail.
const LIFETIME_MS: i64 = 60 * 60 * 1000;
/// How many sessions are kept. The oldest gives way.
const SESSIONS_MAX: usize = 10_000;

/// A stage that this server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// `m.login.dummy`: nothing to prove.
    Dummy,
    /// `m.login.password`: the password of the account.
    Password,
    /// `m.login.registration_token`: a token that the operator has handed out.
    RegistrationToken,
}

impl Stage {
    /// The name of the stage in the specification.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dummy => "m.login.dummy",
            Self::Password => "m.login.password",
            Self::RegistrationToken => "m.login.registration_token",
        }
    }
}

/// What a client sends to complete one stage: the `auth` of its request.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// The session that it goes on with. A first try may come without.
    pub session: Option<String>,
    /// What it proves. `None`: it only asks how the session stands.
    pub proof: Option<Proof>,
}

/// What a client proves.
#[derive(Clone, Debug)]
pub enum Proof {
    /// Nothing, as asked.
    Dummy,
    /// That it knows the password of `user`, a localpart or a user id; `None` is the asking user.
    Password {
        /// Whose password it is.
        user: Option<String>,
        /// The password.
        password: Secret,
    },
    /// That the operator has invited it.
    RegistrationToken(String),
    /// Something that this server does not ask for: the name of that stage.
    Unknown(String),
}

impl Proof {
    pub(super) fn stage(&self) -> Option<Stage> {
        match self {
            Self::Dummy => Some(Stage::Dummy),
            Self::Password { .. } => Some(Stage::Password),
            Self::RegistrationToken(_) => Some(Stage::RegistrationToken),
            Self::Unknown(_) => None,
        }
    }
}

/// What has to be confirmed. Two requests are the same operation if all of it is equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// The endpoint, by the name of its operation.
    pub(super) endpoint: &'static str,
    /// Who asks; `None` where nobody is logged in.
    pub(super) user: Option<OwnedUserId>,
    /// The parameters that decide what happens, such as the devices to delete, hashed: they may be long and secret.
    pub(super) target: Hash,
}

/// What a client has to do before its request goes through: the body of the 401 answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The session that the client names in its next try.
    pub session: String,
    /// The ways to the goal; each a list of stages, in order.
    pub flows: Vec<Vec<Stage>>,
    /// What has been completed, in that order.
    pub completed: Vec<Stage>,
    /// Why the last try did not count (`M_FORBIDDEN`), for people; `None` if there was none, or if it did.
    pub refusal: Option<String>,
}

/// All sessions under way.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    live: HashMap<String, Entry>,
    /// Oldest first. May name sessions that are gone.
    by_age: VecDeque<(i64, String)>,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    /// The registration token that the session has shown and not yet spent.
    holds: Option<String>,
}

impl Sessions {
    /// Begins a session for `operation`, which any of `flows` will confirm.
    pub(super) fn begin(
        &self,
        operation: Operation,
        flows: Vec<Vec<Stage>>,
        now_ms: i64,
        chance: &Chance,
    ) -> Arc<Session> {
        let id = chance.secret();
        let progress = tokio::sync::Mutex::new(Progress::default());
        let session = Arc::new(Session {
            id: id.clone(),
            operation,
            flows,
            progress,
        });
        let mut table = self.table();
        table.forget_old(now_ms);
        table.by_age.push_back((now_ms, id.clone()));
        table.live.insert(
            id,
            Entry {
                session: Arc::clone(&session),
                holds: None,
            },
        );
        session
    }

    /// The session `id`, unless it is unknown or has expired.
    pub(super) fn find(&self, id: &str, now_ms: i64) -> Option<Arc<Session>> {
        let mut table = self.table();
        table.forget_old(now_ms);
        table.live.get(id).map(|entry| Arc::clone(&entry.session))
    }

    /// Notes that session `id` has shown `token`, and whether it may: at most `uses_left` sessions hold it at once.
    pub(super) fn hold(&self, id: &str, token: &str, uses_left: Option<i64>, now_ms: i64) -> bool {
        let mut table = self.table();
        table.forget_old(now_ms);
        let holders = table.holders(token, Some(id));
        if uses_left.is_some_and(|left| holders >= left) {
            return false;
        }
        if let Some(entry) = table.live.get_mut(id) {
            entry.holds = Some(token.to_owned());
        }
        true
    }

    /// How many sessions have shown `token` and not yet spent it.
    pub(super) fn holders(&self, token: &str, now_ms: i64) -> i64 {
        let mut table = self.table();
        table.forget_old(now_ms);
        table.holders(token, None)
    }

    /// The token that session `id` has shown.
    pub(super) fn held(&self, id: &str) -> Option<String> {
        self.table()
            .live
            .get(id)
            .and_then(|entry| entry.holds.clone())
    }

    /// Notes that session `id` has spent its token.
    pub(super) fn release(&self, id: &str) {
        if let Some(entry) = self.table().live.get_mut(id) {
            entry.holds = None;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Table {
    fn forget_old(&mut self, now_ms: i64) {
        while let Some((begun_ms, _)) = self.by_age.front()
            && (now_ms - begun_ms >= LIFETIME_MS || self.by_age.len() >= SESSIONS_MAX)
        {
            if let Some((_, id)) = self.by_age.pop_front() {
                self.live.remove(&id);
            }
        }
    }

    fn holders(&self, token: &str, except: Option<&str>) -> i64 {
        let held = |(id, entry): &(&String, &Entry)| {
            entry.holds.as_deref() == Some(token) && Some(id.as_str()) != except
        };
        i64::try_from(self.live.iter().filter(held).count()).unwrap_or(i64::MAX)
    }
}

/// One client on its way through the stages of one operation.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) operation: Operation,
    flows: Vec<Vec<Stage>>,
    /// Locked for the whole of a request, so that a second one of the same session waits for the first.
    pub(super) progress: tokio::sync::Mutex<Progress>,
}

/// How far a session has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    completed: Vec<Stage>,
    /// What a registration keeps between its requests.
    pub(super) registration: register::Kept,
}

/// What to make of an attempt on a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is its turn: look at the proof.
    Now,
    /// It has been completed before; completed stages are not tried again.
    Done,
    /// No flow has it next.
    NotNext,
}

impl Session {
    /// Whether it is the turn of `stage`.
    pub(super) fn turn(&self, progress: &Progress, stage: Stage) -> Turn {
        if progress.completed.contains(&stage) {
            return Turn::Done;
        }
        let next = |flow: &Vec<Stage>| {
            flow.strip_prefix(progress.completed.as_slice())
                .and_then(|rest| rest.first().copied())
        };
        if self.flows.iter().any(|flow| next(flow) == Some(stage)) {
            Turn::Now
        } else {
            Turn::NotNext
        }
    }

    /// Whether a flow is complete.
    pub(super) fn is_confirmed(&self, progress: &Progress) -> bool {
        self.flows.contains(&progress.completed)
    }

    /// What is left to do.
    pub(super) fn challenge(&self, progress: &Progress, refusal: Option<String>) -> Challenge {
        Challenge {
            session: self.id.clone(),
            flows: self.flows.clone(),
            completed: progress.completed.clone(),
            refusal,
        }
    }
}

impl Progress {
    /// Notes that `stage` was proven.
    pub(super) fn complete(&mut self, stage: Stage) {
        self.completed.push(stage);
    }
}

#[cfg(test)]
mod tests {
    use super::{LIFETIME_MS, Operation, Progress, SESSIONS_MAX, Sessions, Stage, Turn};
    use crate::chance::Chance;

    fn operation() -> Operation {
        Operation {
            endpoint: "test",
            user: None,
            target: [0; 32],
        }
    }

    /// Client-server API: the stages of a flow are completed in order, and none twice.
    #[test]
    fn stages_come_in_the_order_of_a_flow() {
        let flows = vec![
            vec![Stage::RegistrationToken, Stage::Dummy],
            vec![Stage::Password],
        ];
        let session = Sessions::default().begin(operation(), flows, 0, &Chance::seeded(1));
        let mut progress = Progress::default();
        assert_eq!(session.turn(&progress, Stage::Dummy), Turn::NotNext);
        assert_eq!(session.turn(&progress, Stage::Password), Turn::Now);

        progress.complete(Stage::RegistrationToken);
        assert!(!session.is_confirmed(&progress));
        assert_eq!(
            session.turn(&progress, Stage::RegistrationToken),
            Turn::Done
        );
        assert_eq!(
            session.turn(&progress, Stage::Password),
            Turn::NotNext,
            "the other flow"
        );
        assert_eq!(session.turn(&progress, Stage::Dummy), Turn::Now);

        progress.complete(Stage::Dummy);
        assert!(session.is_confirmed(&progress));
    }

    #[test]
    fn sessions_expire_and_are_bounded() {
        let (sessions, chance) = (Sessions::default(), Chance::seeded(1));
        let begin = |now_ms| sessions.begin(operation(), vec![vec![Stage::Dummy]], now_ms, &chance);
        let first = begin(0);
        assert!(sessions.find(&first.id, LIFETIME_MS - 1).is_some());
        assert!(sessions.find(&first.id, LIFETIME_MS).is_none());

        let second = begin(LIFETIME_MS);
        for _ in 0..SESSIONS_MAX {
            begin(LIFETIME_MS);
        }
        assert!(
            sessions.find(&second.id, LIFETIME_MS).is_none(),
            "the oldest gives way"
        );
    }

    #[test]
    fn a_token_is_held_by_as_many_as_may_use_it() {
        let (sessions, chance) = (Sessions::default(), Chance::seeded(1));
        let begin = || {
            sessions.begin(
                operation(),
                vec![vec![Stage::RegistrationToken]],
                0,
                &chance,
            )
        };
        let (one, two) = (begin(), begin());
        assert!(sessions.hold(&one.id, "token", Some(1), 0));
        assert!(
            sessions.hold(&one.id, "token", Some(1), 0),
            "again by the same"
        );
        assert!(!sessions.hold(&two.id, "token", Some(1), 0));
        sessions.release(&one.id);
        assert!(sessions.hold(&two.id, "token", Some(1), 0));
        assert_eq!(
            sessions.holders("token", LIFETIME_MS),
            0,
            "expired sessions hold nothing"
        );
    }
}
