//! `POST /register`: client-server API, "Legacy account registration".

use ruma::OwnedUserId;
use storage::{Plain, accounts, entity::account};

use super::{
    Accounts, DeviceWish, Login, Registration, Secret, localpart,
    uia::{Attempt, Operation, Progress, Session, Stage},
};
use crate::{Error, Result};

/// Length of the localparts that this server makes up, in letters.
const LOCALPART_LETTERS: usize = 12;

/// A request to register.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The localpart; `None`: the server chooses.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// Whether to do without a session.
    pub inhibit_login: bool,
    /// What session is wanted otherwise.
    pub device: DeviceWish,
    /// Whether a guest account is wanted.
    pub guest: bool,
    /// The access token of the guest who wants an account of their own.
    pub guest_access_token: Option<Secret>,
    /// The stage of user-interactive authentication that comes with it.
    pub attempt: Option<Attempt>,
}

/// A new account.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its id.
    pub user_id: OwnedUserId,
    /// Its first session, unless that was not wanted.
    pub login: Option<Login>,
}

/// What a session keeps between the requests of a registration.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What the requests so far have said. A later one may leave out what an earlier one has said.
    said: Said,
    /// What came of it, for a client that lost the answer.
    registered: Option<Registered>,
}

#[derive(Clone, Debug, Default)]
struct Said {
    username: Option<String>,
    password: Option<Secret>,
    inhibit_login: bool,
    device: DeviceWish,
    guest_access_token: Option<Secret>,
}

impl Said {
    /// With what a further request says.
    fn and(self, ask: Ask) -> Self {
        Self {
            username: ask.username.or(self.username),
            password: ask.password.or(self.password),
            inhibit_login: ask.inhibit_login || self.inhibit_login,
            guest_access_token: ask.guest_access_token.or(self.guest_access_token),
            device: DeviceWish {
                device_id: ask.device.device_id.or(self.device.device_id),
                display_name: ask.device.display_name.or(self.device.display_name),
                refreshable: ask.device.refreshable || self.device.refreshable,
            },
        }
    }
}

/// Who becomes a server administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admin {
    Yes,
    No,
    /// The first account of the server does.
    IfFirst,
}

impl Accounts {
    /// The user whom a name stands for that somebody chooses.
    ///
    /// # Errors
    /// [`Error::UserInUse`]: the server speaks as them. [`Error::InvalidUsername`].
    pub(super) fn free_to_choose(&self, username: &str) -> Result<OwnedUserId> {
        let settings = &self.inner.settings;
        let user_id = localpart::for_registration(username, &settings.server_name)?;
        if settings.reserved.as_ref() == Some(&user_id) {
            return Err(Error::UserInUse);
        }
        Ok(user_id)
    }

    /// Registers an account, once user-interactive authentication is complete.
    ///
    /// The first account of the server becomes administrator. A repeated last request of a session gets the first
    /// answer again, and no second account.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: registration is closed, to guests if that was asked for; or the guest is another than the one
    /// who wants an account of their own. [`Error::Interactive`]: the
    /// client has to do more first. [`Error::UserInUse`], [`Error::InvalidUsername`], [`Error::WeakPassword`],
    /// [`Error::InvalidParam`]: before and after that. [`Error::MissingParam`]: no password.
    pub async fn register(&self, mut ask: Ask) -> Result<Registered> {
        if ask.guest {
            return self.register_guest(ask.device.display_name).await;
        }
        let stage = match self.registration() {
            Registration::Closed => return Err(closed()),
            Registration::Token => Stage::RegistrationToken,
            Registration::Open => Stage::Dummy,
        };
        let attempt = ask.attempt.take().unwrap_or_default();
        let operation = Operation {
            endpoint: "register",
            user: None,
            target: [0; 32],
        };
        if attempt.session.is_none() {
            // Before a session is spent on it.
            self.check(&Said::default().and(ask.clone())).await?;
        }
        let session = self.session(operation, vec![vec![stage]], attempt.session.as_deref())?;
        let mut progress = session.progress.lock().await;
        if let Some(registered) = &progress.registration.registered {
            return Ok(registered.clone());
        }
        let said = std::mem::take(&mut progress.registration.said).and(ask);
        progress.registration.said = said.clone();
        let user_id = self.check(&said).await?;
        self.advance(&session, &mut progress, attempt.proof).await?;
        self.finish(&session, &mut progress, said, user_id).await
    }

    /// Checks that somebody could register as `username`.
    ///
    /// # Errors
    /// [`Error::UserInUse`], [`Error::InvalidUsername`]: as in a registration.
    pub async fn check_available(&self, username: &str) -> Result<()> {
        let user_id = self.free_to_choose(username)?;
        self.check_free(&user_id).await
    }

    /// What can be refused before authentication; the user id that the account would have, if one was asked for.
    async fn check(&self, said: &Said) -> Result<Option<OwnedUserId>> {
        if let Some(password) = &said.password {
            self.inner.passwords.accept(password)?;
        }
        said.device.check()?;
        if let Some(token) = &said.guest_access_token {
            return self.guest(token, said.username.as_deref()).await.map(Some);
        }
        let Some(username) = &said.username else {
            return Ok(None);
        };
        let user_id = self.free_to_choose(username)?;
        self.check_free(&user_id).await?;
        Ok(Some(user_id))
    }

    async fn check_free(&self, user_id: &OwnedUserId) -> Result<()> {
        match self.account(user_id).await? {
            Some(_) => Err(Error::UserInUse),
            None => Ok(()),
        }
    }

    async fn finish(
        &self,
        session: &Session,
        progress: &mut Progress,
        said: Said,
        user_id: Option<OwnedUserId>,
    ) -> Result<Registered> {
        let Some(password) = said.password else {
            return Err(Error::MissingParam(
                "An account needs a password".to_owned(),
            ));
        };
        let user_id = match user_id {
            Some(user_id) => user_id,
            None => self.made_up_name()?,
        };
        let mut rows = Vec::new();
        if let Some(token) = self.inner.sessions.held(&session.id) {
            rows.push(Plain::RegistrationTokenUse { token });
        }
        let login = match said.inhibit_login {
            true => None,
            false => Some(self.grant(user_id.clone(), said.device).await?),
        };
        let (grant, login) = login.unzip();
        rows.extend(grant.into_iter().flatten());
        if said.guest_access_token.is_some() {
            self.upgrade_guest(&user_id, password, rows).await?;
        } else {
            self.create_account(&user_id, Some(password), Admin::IfFirst, rows)
                .await?;
        }
        self.inner.sessions.release(&session.id);
        let registered = Registered { user_id, login };
        progress.registration.said = Said::default(); // the password is no longer needed
        progress.registration.registered = Some(registered.clone());
        Ok(registered)
    }

    /// Why the rows of a new account met others: the name was taken a moment ago, or the registration token used up.
    async fn conflict(&self, user_id: &OwnedUserId) -> Result<Error> {
        Ok(match self.account(user_id).await? {
            Some(_) => Error::UserInUse,
            None => Error::Forbidden("The registration token has been used up".to_owned()),
        })
    }

    fn made_up_name(&self) -> Result<OwnedUserId> {
        let name = self.inner.chance.lower_case(LOCALPART_LETTERS);
        localpart::for_registration(&name, &self.inner.settings.server_name)
    }

    /// Writes a new account, in one piece with `rows`.
    ///
    /// # Errors
    /// [`Error::UserInUse`]: the name is taken (or, in a race, the registration token was used up).
    pub(super) async fn create_account(
        &self,
        user_id: &OwnedUserId,
        password: Option<Secret>,
        admin: Admin,
        rows: Vec<Plain>,
    ) -> Result<()> {
        let inner = &self.inner;
        let password_hash = match password {
            Some(password) => Some(inner.passwords.hash(password, &inner.chance).await?),
            None => None,
        };
        // Held over the write as long as there is no account: only one can be the first.
        let mut has_accounts = inner.has_accounts.lock().await;
        if !*has_accounts {
            *has_accounts = accounts::any(inner.store.reader()).await?;
        }
        let first = !*has_accounts;
        let guard = first.then_some(has_accounts);
        let admin = match admin {
            Admin::Yes => true,
            Admin::No => false,
            Admin::IfFirst => first,
        };
        let mut plain = vec![Plain::Account(account::Model {
            password_hash,
            admin,
            ..self.new_account(user_id)
        })];
        plain.extend(rows);
        match inner.store.write(storage::Write::plain(plain)).await {
            Ok(_) => {}
            Err(storage::Error::Conflict(_)) => return Err(self.conflict(user_id).await?),
            Err(error) => return Err(error.into()),
        }
        if let Some(mut has_accounts) = guard {
            *has_accounts = true;
        }
        tracing::info!(%user_id, admin, "an account was made");
        Ok(())
    }
}

impl Accounts {
    /// The row of an account to begin with.
    pub(super) fn new_account(&self, user_id: &OwnedUserId) -> account::Model {
        account::Model {
            user_id: user_id.to_string(),
            localpart: user_id.localpart().to_owned(),
            password_hash: None,
            admin: false,
            guest: false,
            deactivated: false,
            erased: false,
            locked: false,
            suspended: false,
            created_ts: self.now_ms(),
            appservice: None,
        }
    }
}

pub(super) fn closed() -> Error {
    Error::Forbidden("Registration is closed on this server; ask its administrator".to_owned())
}
