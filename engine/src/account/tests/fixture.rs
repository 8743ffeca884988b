//! A server's accounts for one test, and people who use them.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use ruma::{OwnedUserId, owned_server_name};
use storage::testing::open_each;

use crate::{
    Clock, Error, Requester, Result,
    account::{
        Accounts, Credentials, DeviceWish, Login, LoginAsk, NewAccount, PasswordSettings,
        RegisterAsk, Registered, Registration, Settings,
        uia::{Attempt, Challenge, Proof},
    },
    chance::Chance,
};

pub(super) const PASSWORD: &str = "correct horse";

/// A clock that stands until it is turned.
#[derive(Debug)]
pub(super) struct HandClock(AtomicI64);

impl HandClock {
    pub(super) fn turn(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The accounts of one server.
pub(super) struct Server {
    pub(super) accounts: Accounts,
    pub(super) clock: Arc<HandClock>,
}

/// Servers with open registration: one on each database.
pub(super) async fn servers() -> Vec<Server> {
    servers_with(|_| {}).await
}

/// Servers with these settings on top of open registration and cheap passwords.
pub(super) async fn servers_with(change: impl Fn(&mut Settings)) -> Vec<Server> {
    let mut settings = Settings::new(owned_server_name!("rookery.test"));
    settings.registration = Registration::Open;
    settings.password = PasswordSettings {
        memory_kib: 8,
        passes: 1,
        ..Default::default()
    };
    change(&mut settings);
    let stores = open_each().await.unwrap();
    let server = |(seed, store)| {
        let clock = Arc::new(HandClock(AtomicI64::new(1_700_000_000_000)));
        let chance = Arc::new(Chance::seeded(seed));
        let accounts = Accounts::new(store, clock.clone(), chance, settings.clone()).unwrap();
        Server { accounts, clock }
    };
    (0..).zip(stores).map(server).collect()
}

impl Server {
    /// Makes an account that is no administrator.
    pub(super) async fn account(&self, localpart: &str) -> OwnedUserId {
        let new = NewAccount {
            localpart: localpart.to_owned(),
            password: Some(PASSWORD.into()),
            admin: false,
        };
        self.accounts.create(new).await.unwrap()
    }

    /// Makes an account and logs it in.
    pub(super) async fn person(&self, localpart: &str) -> Requester {
        self.account(localpart).await;
        self.session(localpart, DeviceWish::default()).await
    }

    /// Logs in once more.
    pub(super) async fn session(&self, localpart: &str, device: DeviceWish) -> Requester {
        let login = self.log_in(localpart, PASSWORD, device).await.unwrap();
        self.accounts
            .authenticate(login.access_token.reveal())
            .await
            .unwrap()
    }

    pub(super) async fn log_in(
        &self,
        user: &str,
        password: &str,
        device: DeviceWish,
    ) -> Result<Login> {
        let credentials = Credentials::Password {
            user: Some(user.to_owned()),
            password: password.into(),
        };
        self.accounts
            .log_in(LoginAsk {
                credentials,
                device,
            })
            .await
    }

    /// Whether an access token is good.
    pub(super) async fn knows(&self, login: &Login) -> bool {
        match self
            .accounts
            .authenticate(login.access_token.reveal())
            .await
        {
            Ok(_) => true,
            Err(Error::UnknownToken { soft_logout: false }) => false,
            other => panic!("{other:?}"),
        }
    }

    /// Registers in two requests, as clients do.
    pub(super) async fn register(&self, ask: RegisterAsk) -> Result<Registered> {
        let challenge = match self.accounts.register(ask.clone()).await {
            // Somebody else may have been faster.
            Err(Error::UserInUse) => return Err(Error::UserInUse),
            other => challenged(other),
        };
        let attempt = Some(dummy(&challenge.session));
        self.accounts.register(RegisterAsk { attempt, ..ask }).await
    }
}

/// A registration under this name.
pub(super) fn name(username: &str) -> RegisterAsk {
    RegisterAsk {
        username: Some(username.to_owned()),
        password: Some(PASSWORD.into()),
        ..RegisterAsk::default()
    }
}

/// The `m.login.dummy` stage of a session.
pub(super) fn dummy(session: &str) -> Attempt {
    Attempt {
        session: Some(session.to_owned()),
        proof: Some(Proof::Dummy),
    }
}

/// The `m.login.password` stage of a session.
pub(super) fn with_password(session: &str, password: &str) -> Attempt {
    let proof = Proof::Password {
        user: None,
        password: password.into(),
    };
    Attempt {
        session: Some(session.to_owned()),
        proof: Some(proof),
    }
}

/// The 401 that a request got.
pub(super) fn challenged<T: std::fmt::Debug>(result: Result<T>) -> Challenge {
    match result {
        Err(Error::Interactive(challenge)) => *challenge,
        other => panic!("not challenged: {other:?}"),
    }
}
