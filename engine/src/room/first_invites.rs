//! The invites of a new room that need other servers: client-server API, "Creation". None of them undoes the room.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt as _, stream};
use ruma::OwnedUserId;
use tokio::time::timeout;

use super::membership::Target;
use crate::{Requester, rooms::RoomHandle, third_party::ThirdParty};

/// How many invites are on their way at the same time: their servers may be slow or gone, and what comes back is one fork
/// of the room each.
const AT_ONCE: usize = 8;
/// How long the answer to the client waits for them. What takes longer goes on behind it.
const WAITED_FOR: Duration = Duration::from_secs(60);

/// Whom a new room invites that are not of this server.
pub(crate) struct FirstInvites {
    /// Who invites them.
    pub(crate) by: Requester,
    /// Users of other servers.
    pub(crate) users: BTreeSet<OwnedUserId>,
    /// Addresses of people who are not known.
    pub(crate) addresses: Vec<ThirdParty>,
    /// Whether the invites say that it is a direct chat.
    pub(crate) is_direct: bool,
}

impl RoomHandle {
    /// Sends the first invites, to their end whether or not the client waits. One that is refused is left out.
    pub(crate) async fn send_first(&self, mut invites: FirstInvites) {
        if invites.users.is_empty() && invites.addresses.is_empty() {
            return;
        }
        let room = self.clone();
        let work = self.spawn(async move {
            let users = std::mem::take(&mut invites.users).into_iter();
            let users = users.map(|user| room.first_invite(&invites, user));
            let users = stream::iter(users).buffer_unordered(AT_ONCE);
            users.for_each(|()| std::future::ready(())).await;
            // An identity server counts them and would refuse too many at once.
            for whom in &invites.addresses {
                room.first_address(&invites, whom.clone()).await;
            }
        });
        if !matches!(timeout(WAITED_FOR, work).await, Ok(Ok(()))) {
            tracing::info!(room = %self.meta.id, "a new room's invites are not out yet");
        }
    }

    async fn first_invite(&self, invites: &FirstInvites, user_id: OwnedUserId) {
        let target = Target {
            user_id: user_id.clone(),
            reason: None,
        };
        let invited = self.invite_as(&invites.by, target, invites.is_direct).await;
        if let Err(error) = invited {
            tracing::info!(target = %user_id, %error, "a new room's invite is left out");
        }
    }

    async fn first_address(&self, invites: &FirstInvites, whom: ThirdParty) {
        let invited = self.invite_third_party_as(&invites.by, whom, invites.is_direct);
        if let Err(error) = invited.await {
            tracing::info!(room = %self.meta.id, %error, "a new room's invite of an address is left out");
        }
    }
}
