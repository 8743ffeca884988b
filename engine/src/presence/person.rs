//! One user: what the devices say, what follows from the time, and what others see. Pure.

use std::sync::Arc;

use spec::json::Object;

use crate::profile::{AVATAR_URL, DISPLAYNAME};

/// After so long without doing anything somebody is not available any more, in milliseconds.
const IDLE_MS: i64 = 5 * 60 * 1_000;

/// After so long without a sync a device is gone, in milliseconds.
const GONE_MS: i64 = 30 * 1_000;

/// For so long after doing something somebody counts as active, in milliseconds.
const ACTIVE_MS: i64 = 60 * 1_000;

/// For so long the word of another server holds, in milliseconds.
const SILENT_MS: i64 = 30 * 60 * 1_000;

/// How many devices of a user are told apart; the one that was there longest ago makes room.
const DEVICES_MAX: usize = 20;

/// What somebody is, the strongest last: of several devices that one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PresenceState {
    /// Not there.
    #[default]
    Offline,
    /// There, but not available.
    Unavailable,
    /// There.
    Online,
    /// There, and not to be disturbed: MSC3026.
    Busy,
}

impl PresenceState {
    /// The state of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "offline" => Self::Offline,
            "unavailable" => Self::Unavailable,
            "online" => Self::Online,
            "busy" | "org.matrix.msc3026.busy" => Self::Busy,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unavailable => "unavailable",
            Self::Online => "online",
            Self::Busy => "org.matrix.msc3026.busy",
        }
    }
}

/// What others see of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) state: PresenceState,
    pub(crate) status_msg: Option<String>,
    /// When they did something last, in milliseconds since the epoch.
    pub(crate) last_active_ms: Option<i64>,
    pub(crate) currently_active: bool,
    /// What they are called, if that has changed since this server was started.
    pub(crate) names: Option<Arc<Names>>,
}

/// What somebody is called, and how they look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) displayname: Option<String>,
    pub(crate) avatar_url: Option<String>,
}

impl Names {
    /// Those that the content of a member event has.
    pub(crate) fn of(content: &Object) -> Self {
        let text = |key: &str| content.get(key)?.as_str().map(str::to_owned);
        Self {
            displayname: text(DISPLAYNAME),
            avatar_url: text(AVATAR_URL),
        }
    }

    /// Those that there are, with the keys that they have in events.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = [
            (DISPLAYNAME, &self.displayname),
            (AVATAR_URL, &self.avatar_url),
        ];
        let fields = fields.into_iter();
        fields.filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }
}

/// Who has to be told of a change at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Update {
    /// Nobody: it rides on what they get next.
    Quiet,
    /// Others.
    OfOthers,
    /// The user's own clients too.
    OfAll,
}

/// What is known of one user.
#[derive(Debug, Default)]
pub(super) struct Person {
    devices: Vec<Device>,
    status_msg: Option<String>,
    last_active_ms: Option<i64>,
    remote: Option<Remote>,
    names: Option<Arc<Names>>,
}

#[derive(Debug)]
struct Device {
    id: String,
    state: PresenceState,
    /// How many syncs of it run.
    syncing: u32,
    seen_ms: i64,
}

/// The word of another server.
#[derive(Debug)]
struct Remote {
    state: PresenceState,
    currently_active: bool,
    heard_ms: i64,
}

/// What another server says of one of its users.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) state: PresenceState,
    pub(super) status_msg: Option<String>,
    pub(super) last_active_ms: Option<i64>,
    pub(super) currently_active: bool,
}

impl Person {
    /// A device begins to sync. What was set as busy stays so.
    pub(super) fn sync_began(&mut self, id: &str, state: PresenceState, now_ms: i64) {
        let was_gone = self.shown(now_ms).state == PresenceState::Offline;
        let device = self.device(id, now_ms);
        device.syncing = device.syncing.saturating_add(1);
        if device.state != PresenceState::Busy {
            device.state = state;
        }
        if was_gone && state == PresenceState::Online {
            self.last_active_ms = Some(now_ms);
        }
    }

    pub(super) fn sync_ended(&mut self, id: &str, now_ms: i64) {
        if let Some(device) = self.devices.iter_mut().find(|device| device.id == id) {
            device.syncing = device.syncing.saturating_sub(1);
            device.seen_ms = now_ms;
        }
    }

    pub(super) fn active(&mut self, now_ms: i64) {
        self.last_active_ms = Some(now_ms);
    }

    pub(super) fn set(
        &mut self,
        id: &str,
        state: PresenceState,
        status_msg: Option<String>,
        now_ms: i64,
    ) {
        self.device(id, now_ms).state = state;
        self.status_msg = status_msg;
        if state > PresenceState::Unavailable {
            self.last_active_ms = Some(now_ms);
        }
    }

    /// They have another name or picture.
    pub(super) fn renamed(&mut self, names: Names) {
        self.names = Some(Arc::new(names));
    }

    pub(super) fn heard(&mut self, word: Word, now_ms: i64) {
        self.status_msg = word.status_msg;
        self.last_active_ms = word.last_active_ms.or(self.last_active_ms);
        self.remote = Some(Remote {
            state: word.state,
            currently_active: word.currently_active,
            heard_ms: now_ms,
        });
    }

    /// Takes in what was known when the server ran last, of somebody of this server or `remote`. It holds for as long as if
    /// they had just gone.
    pub(super) fn restore(&mut self, was: Shown, remote: bool, now_ms: i64) {
        self.status_msg = self.status_msg.take().or(was.status_msg);
        let last_active_ms = was.last_active_ms.map(|at| at.min(now_ms));
        self.last_active_ms = self.last_active_ms.max(last_active_ms);
        if was.state == PresenceState::Offline || self.remote.is_some() {
            return;
        }
        if remote {
            self.remote = Some(Remote {
                state: was.state,
                currently_active: false,
                heard_ms: now_ms,
            });
        } else {
            self.device("", now_ms).state = was.state;
        }
    }

    /// Forgets devices that are gone.
    pub(super) fn lapse(&mut self, now_ms: i64) {
        self.devices.retain(|device| !device.is_gone(now_ms));
    }

    /// What others see.
    pub(super) fn shown(&self, now_ms: i64) -> Shown {
        let is_within = |ms: i64| {
            let since = self.last_active_ms.map(|at| now_ms.saturating_sub(at));
            since.is_some_and(|since| since < ms)
        };
        let (state, currently_active) = match &self.remote {
            Some(remote) if now_ms.saturating_sub(remote.heard_ms) >= SILENT_MS => {
                (PresenceState::Offline, false)
            }
            Some(remote) => (remote.state, remote.currently_active),
            None => {
                let here = self.devices.iter().filter(|device| !device.is_gone(now_ms));
                let state = here.map(|device| device.state).max().unwrap_or_default();
                match state {
                    PresenceState::Online if !is_within(IDLE_MS) => {
                        (PresenceState::Unavailable, false)
                    }
                    state => (state, is_within(ACTIVE_MS)),
                }
            }
        };
        let is_there = state != PresenceState::Offline;
        Shown {
            state,
            status_msg: self.status_msg.clone(),
            last_active_ms: self.last_active_ms,
            currently_active: currently_active && is_there,
            names: self.names.clone(),
        }
    }

    /// When what others see changes by itself, in milliseconds since the epoch.
    pub(super) fn due_ms(&self, now_ms: i64) -> Option<i64> {
        let shown = self.shown(now_ms);
        if shown.state == PresenceState::Offline {
            return None;
        }
        if let Some(remote) = &self.remote {
            return Some(remote.heard_ms.saturating_add(SILENT_MS));
        }
        let gone = self.devices.iter().filter(|device| device.syncing == 0);
        let gone = gone.map(|device| device.seen_ms.saturating_add(GONE_MS));
        let active = self.last_active_ms.into_iter();
        let idle = active.flat_map(|at| [at.saturating_add(ACTIVE_MS), at.saturating_add(IDLE_MS)]);
        gone.chain(idle).filter(|due| *due > now_ms).min()
    }

    fn device(&mut self, id: &str, now_ms: i64) -> &mut Device {
        let at = match self.devices.iter().position(|device| device.id == id) {
            Some(at) => at,
            None => {
                if self.devices.len() >= DEVICES_MAX {
                    let key = |at: &usize| (self.devices[*at].syncing, self.devices[*at].seen_ms);
                    if let Some(oldest) = (0..self.devices.len()).min_by_key(key) {
                        self.devices.swap_remove(oldest);
                    }
                }
                self.devices.push(Device {
                    id: id.to_owned(),
                    state: PresenceState::Offline,
                    syncing: 0,
                    seen_ms: now_ms,
                });
                self.devices.len() - 1
            }
        };
        let device = &mut self.devices[at];
        device.seen_ms = now_ms;
        device
    }
}

impl Device {
    fn is_gone(&self, now_ms: i64) -> bool {
        self.syncing == 0 && now_ms.saturating_sub(self.seen_ms) >= GONE_MS
    }
}

#[cfg(test)]
mod tests {
    use super::{PresenceState::*, *};

    #[test]
    fn the_strongest_device_counts_and_goes_with_its_syncs() {
        let mut person = Person::default();
        person.sync_began("phone", Online, 0);
        person.sync_began("laptop", Unavailable, 0);
        assert_eq!(person.shown(0).state, Online);
        person.sync_ended("phone", 1_000);
        assert_eq!(person.shown(30_999).state, Online);
        assert_eq!(person.due_ms(1_000), Some(31_000));
        assert_eq!(person.shown(31_000).state, Unavailable, "the phone is gone");
        person.sync_ended("laptop", 40_000);
        person.lapse(80_000);
        assert_eq!(person.shown(80_000).state, Offline);
        assert_eq!(person.due_ms(80_000), None);
    }

    #[test]
    fn who_does_nothing_is_idle_after_five_minutes_though_a_client_syncs() {
        let mut person = Person::default();
        person.sync_began("phone", Online, 0);
        let seen = |person: &Person, now_ms| {
            let shown = person.shown(now_ms);
            (shown.state, shown.currently_active)
        };
        assert_eq!(seen(&person, 59_999), (Online, true));
        assert_eq!(seen(&person, 60_000), (Online, false));
        assert_eq!(seen(&person, IDLE_MS), (Unavailable, false));
        person.active(IDLE_MS + 5);
        assert_eq!(seen(&person, IDLE_MS + 5), (Online, true));
    }

    #[test]
    fn busy_is_not_undone_by_a_sync() {
        let mut person = Person::default();
        person.set("phone", Busy, Some("on stage".to_owned()), 0);
        person.sync_began("phone", Online, 1);
        let shown = person.shown(IDLE_MS * 2);
        assert_eq!(
            (shown.state, shown.status_msg.as_deref()),
            (Busy, Some("on stage"))
        );
        person.set("phone", Online, None, 3);
        assert_eq!(person.shown(3).status_msg, None);
    }

    #[test]
    fn the_word_of_another_server_holds_for_half_an_hour() {
        let mut person = Person::default();
        let word = Word {
            state: Online,
            status_msg: None,
            last_active_ms: Some(10),
            currently_active: true,
        };
        person.heard(word, 100);
        assert_eq!(person.shown(SILENT_MS).state, Online);
        assert_eq!(person.due_ms(100), Some(SILENT_MS + 100));
        assert_eq!(person.shown(SILENT_MS + 100).state, Offline);
    }

    #[test]
    fn devices_are_bounded() {
        let mut person = Person::default();
        for n in 0..1_000 {
            person.set(&n.to_string(), Online, None, n);
        }
        assert_eq!(person.devices.len(), DEVICES_MAX);
    }
}
