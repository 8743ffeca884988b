//! Accounts: registering, logging in, tokens, devices. Client-server API, "Legacy API" of "Client authentication".
//!
//! [`Accounts`] is all that there is to ask; a file beside this one is one thing that it can do. It knows nothing of
//! rooms: what a change of an account means for them (a new display name, a deactivation) is done above it, by the
//! [`Engine`](crate::Engine). A decision is read from the store, made here and written in one piece; what is kept in
//! memory is only what may be lost: the sessions of user-interactive authentication, nonces, caches of tokens and filters.

mod administer;
mod authenticate;
mod change_password;
mod confirm;
mod deactivate;
mod device;
mod email;
mod grant;
mod guest;
mod lanes;
mod local_settings;
mod localpart;
mod login;
mod logout;
mod openid;
mod password;
mod refresh;
mod register;
mod registration_token;
mod secret;
mod seen;
mod shared_secret;
#[cfg(test)]
mod tests;
mod token;
pub mod uia;

use std::sync::Arc;

use ruma::{OwnedServerName, OwnedUserId, UserId};
use storage::{Plain, Store};
use tokio::sync::MutexGuard;

pub use self::{
    administer::NewAccount,
    change_password::ChangePassword,
    deactivate::Erase,
    device::Device,
    email::Email,
    grant::{DeviceWish, Login},
    login::{Ask as LoginAsk, Credentials},
    password::PasswordSettings,
    register::{Ask as RegisterAsk, Registered},
    registration_token::NewRegistrationToken,
    secret::Secret,
    shared_secret::Ask as SharedSecretAsk,
};
use self::{
    lanes::Lanes, password::Passwords, seen::Seen, shared_secret::Nonces, token::Cache,
    uia::Sessions,
};
use crate::{Clock, ProfileSettings, Result, chance::Chance, filter::Filters};

/// Who may register an account without an administrator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// Nobody.
    #[default]
    Closed,
    /// Who has a registration token.
    Token,
    /// Everybody.
    Open,
}

/// What the operator decides about accounts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this server: the second half of all its user ids.
    pub server_name: OwnedServerName,
    /// Who may register.
    pub registration: Registration,
    /// Whether everybody may be a guest.
    pub guests: bool,
    /// The secret with which tools make accounts; `None`: they may not.
    pub registration_shared_secret: Option<Secret>,
    /// How long an access token lasts that comes with a refresh token, in milliseconds.
    pub refreshable_token_lifetime_ms: i64,
    /// How long an access token lasts that comes without, in milliseconds; `None`: until it is logged out.
    pub token_lifetime_ms: Option<i64>,
    /// How long a refresh token may lie unused, in milliseconds; `None`: for ever.
    pub refresh_token_lifetime_ms: Option<i64>,
    /// What passwords cost, and what they must have.
    pub password: PasswordSettings,
    /// How many access tokens are remembered in memory. One takes some 300 bytes.
    pub tokens_cached: usize,
    /// A user whom nobody can register as: the server speaks as them.
    pub reserved: Option<OwnedUserId>,
    /// What people may change of their profiles.
    pub profiles: ProfileSettings,
}

impl Settings {
    /// What is used where the operator says nothing: nobody may register, tokens last until they are logged out, and
    /// refreshable ones for five minutes.
    #[must_use]
    pub fn new(server_name: OwnedServerName) -> Self {
        Self {
            server_name,
            registration: Registration::Closed,
            guests: false,
            registration_shared_secret: None,
            refreshable_token_lifetime_ms: 5 * 60 * 1000,
            token_lifetime_ms: None,
            refresh_token_lifetime_ms: None,
            password: PasswordSettings::default(),
            tokens_cached: 100_000,
            reserved: None,
            profiles: ProfileSettings::default(),
        }
    }
}

/// The accounts of this server. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    chance: Arc<Chance>,
    settings: Settings,
    passwords: Passwords,
    sessions: Sessions,
    nonces: Nonces,
    tokens: Cache,
    filters: Filters,
    seen: Seen,
    /// Whether an account is known to exist: none but the first asks the store.
    has_accounts: tokio::sync::Mutex<bool>,
    /// One after another for the same refresh token.
    refreshing: Lanes,
    /// One after another for what is read, changed and written back of one user.
    changing: Lanes,
    /// One after another for what a change of an account does to the rooms of one user.
    in_rooms: Lanes,
}

impl Accounts {
    /// The accounts in `store`. Reads nothing yet.
    ///
    /// # Errors
    /// [`Error::InvalidParam`](crate::Error::InvalidParam): an impossible password cost.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        chance: Arc<Chance>,
        settings: Settings,
    ) -> Result<Self> {
        let passwords = Passwords::new(&settings.password)?;
        let tokens = Cache::new(settings.tokens_cached);
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                clock,
                chance,
                settings,
                passwords,
                sessions: Sessions::default(),
                nonces: Nonces::default(),
                tokens,
                filters: Filters::default(),
                seen: Seen::default(),
                has_accounts: tokio::sync::Mutex::new(false),
                refreshing: Lanes::default(),
                changing: Lanes::default(),
                in_rooms: Lanes::default(),
            }),
        })
    }

    /// Who may register here.
    #[must_use]
    pub fn registration(&self) -> Registration {
        self.inner.settings.registration
    }

    /// What people may change of their profiles.
    #[must_use]
    pub fn profile_settings(&self) -> &ProfileSettings {
        &self.inner.settings.profiles
    }

    /// Whether `user_id` is of this server, whether or not it exists.
    #[must_use]
    pub fn is_ours(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.inner.settings.server_name
    }

    /// The store that the accounts are in.
    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The filters that were named lately.
    pub(crate) fn filters(&self) -> &Filters {
        &self.inner.filters
    }

    /// Waits until nobody else changes what is kept for `user_id`, and keeps others away until the guard is dropped.
    pub(crate) async fn alone(&self, user_id: &UserId) -> MutexGuard<'_, ()> {
        self.inner.changing.enter(user_id).await
    }

    /// As [`alone`](Self::alone), for what is done to the rooms of `user_id`.
    pub(crate) async fn alone_in_rooms(&self, user_id: &UserId) -> MutexGuard<'_, ()> {
        self.inner.in_rooms.enter(user_id).await
    }

    /// A name for one change, as no other has it.
    pub(crate) fn new_change(&self) -> String {
        self.inner.chance.secret()
    }

    fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    /// The account of `user_id`, deactivated ones included.
    pub(crate) async fn account(
        &self,
        user_id: &UserId,
    ) -> Result<Option<storage::entity::account::Model>> {
        Ok(storage::accounts::find(self.inner.store.reader(), user_id).await?)
    }

    /// Writes, and forgets the access tokens that are deleted by it. What belongs to devices that are deleted goes with them.
    pub(crate) async fn write(&self, plain: Vec<Plain>) -> Result<()> {
        let deleted: Vec<Vec<u8>> = plain.iter().filter_map(deleted_token).collect();
        let write = storage::Write {
            logged: self.local_settings_of_deleted(&plain).await?,
            ..storage::Write::plain(plain)
        };
        self.inner.store.write(write).await?;
        if !deleted.is_empty() {
            self.inner.tokens.forget_tokens(&deleted);
        }
        Ok(())
    }
}

fn deleted_token(plain: &Plain) -> Option<Vec<u8>> {
    match plain {
        Plain::AccessTokenDelete { hash } => Some(hash.clone()),
        _ => None,
    }
}
