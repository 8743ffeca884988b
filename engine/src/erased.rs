//! Users who had what they wrote erased when they closed their accounts: client-server API, "Account deactivation". Only
//! those who were in the room at the time go on to see it.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use ruma::OwnedUserId;
use storage::{Store, accounts};
use tokio::sync::OnceCell;

use crate::Result;

/// The erased users of this server, all in memory: some 100 bytes each, and few ever ask for it.
pub(crate) struct Erased {
    store: Store,
    users: OnceCell<RwLock<Arc<HashSet<OwnedUserId>>>>,
}

impl Erased {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            users: OnceCell::new(),
        }
    }

    /// All of them. One query the first time.
    pub(crate) async fn users(&self) -> Result<Arc<HashSet<OwnedUserId>>> {
        let users = self.loaded().await?.read();
        Ok(users.unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Adds one, whose erasure is stored.
    pub(crate) async fn add(&self, user: OwnedUserId) -> Result<()> {
        let mut users = self
            .loaded()
            .await?
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut users).insert(user);
        Ok(())
    }

    async fn loaded(&self) -> Result<&RwLock<Arc<HashSet<OwnedUserId>>>> {
        let load = || async {
            let users = accounts::all_erased(self.store.reader()).await?;
            let users = users
                .into_iter()
                .filter_map(|user| OwnedUserId::try_from(user).ok());
            Ok(RwLock::new(Arc::new(users.collect())))
        };
        self.users.get_or_try_init(load).await
    }
}
