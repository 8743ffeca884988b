//! From the log into the queues: who gets what.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{OwnedServerName, ServerName, UserId};
use storage::{
    Limit, Logged, Position, RoomRow, outbox,
    receipts::{self, StoredReceipt},
};
use tracing::error;

use super::{
    Inner, Result,
    edus::{Edus, Receipt, ReceiptKey},
    news::Next,
    pdu::Outgoing,
};

/// How many events are read at once.
const PAGE: u64 = 200;

/// Whether other servers get a receipt: only those of our users that are no secret.
pub(super) fn is_outgoing(receipt: &StoredReceipt, own: &ServerName) -> bool {
    let user = <&UserId>::try_from(receipt.user_id.as_str());
    receipt.kind == "m.read" && user.is_ok_and(|user| user.server_name() == own)
}

/// What to do with an event whose audience cannot be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Stop there, and come back to it.
    Stops,
    /// Leave it out: it has stopped all that follows for too long.
    IsPassed,
}

impl Inner {
    /// Puts what was logged after `at` into the queues; returns up to where.
    pub(super) async fn dispatch(
        self: &Arc<Self>,
        mut at: Position,
        trouble: Trouble,
    ) -> Result<Position> {
        while let Some(next) = self.news.after_position(at) {
            at = match next {
                Next::Told(entries, to) => {
                    for (position, logged) in &entries {
                        self.dispatch_entry(*position, logged, trouble).await?;
                    }
                    to
                }
                Next::Stored(to) => self.dispatch_stored(at, to, trouble).await?,
            };
        }
        Ok(at)
    }

    async fn dispatch_entry(
        self: &Arc<Self>,
        position: Position,
        logged: &Logged,
        trouble: Trouble,
    ) -> Result<()> {
        match logged {
            Logged::Event(new) => {
                let event = Outgoing::committed(position, new);
                self.dispatch_event(&event, trouble).await
            }
            Logged::Receipt(new) => {
                let whose = (new.user_id.to_string(), new.thread_id.clone());
                let receipt = Receipt {
                    event_id: new.event_id.to_string(),
                    ts: new.ts,
                    position,
                };
                self.dispatch_receipt(new.room, whose, receipt).await
            }
            Logged::AccountData(_) | Logged::ThreadSubscription(_) => Ok(()),
        }
    }

    /// The same from the store: one page.
    async fn dispatch_stored(
        self: &Arc<Self>,
        at: Position,
        to: Position,
        trouble: Trouble,
    ) -> Result<Position> {
        let db = self.store.reader();
        let page = outbox::outgoing(db, at, to, Limit::new(PAGE)).await?;
        let reached = match page.last().and_then(|event| event.outgoing) {
            Some(last) if page.len() as u64 >= PAGE => last,
            _ => to,
        };
        for event in page.iter().filter_map(Outgoing::stored) {
            self.dispatch_event(&event, trouble).await?;
        }
        for read in receipts::changed(db, at, reached).await? {
            if is_outgoing(&read, &self.own) {
                let (room, whose) = (read.room, (read.user_id, read.thread_id));
                let receipt = Receipt {
                    event_id: read.event_id,
                    ts: read.ts,
                    position: read.position,
                };
                self.dispatch_receipt(room, whose, receipt).await?;
            }
        }
        Ok(reached)
    }

    /// Server-server API, "PDUs": an event goes to all servers that are in the room at the event, but for that of its
    /// sender, which has it.
    async fn dispatch_event(self: &Arc<Self>, event: &Outgoing, trouble: Trouble) -> Result<()> {
        let audience = match self.engine.servers_at(event.room, event.current).await {
            Ok(audience) => audience,
            Err(cause) if trouble == Trouble::IsPassed => {
                error!(%cause, room = ?event.room, "an event is left out: who is to get it cannot be found out");
                return Ok(());
            }
            Err(cause) => return Err(cause.into()),
        };
        let mut servers: BTreeSet<&OwnedServerName> = audience.servers().collect();
        servers.extend(event.removed.as_ref());
        servers.remove(&self.own);
        if let Some(origin) = &event.origin {
            servers.remove(origin);
        }
        for server in servers {
            self.push(server, event.position, |queue| {
                queue.push(event.position, Arc::clone(&event.pdu));
            });
        }
        Ok(())
    }

    async fn dispatch_receipt(
        self: &Arc<Self>,
        room: RoomRow,
        (user, thread): (String, String),
        receipt: Receipt,
    ) -> Result<()> {
        let audience = self.engine.servers_now(room).await?;
        let key: ReceiptKey = (audience.room_id.to_string(), user, thread);
        for server in audience.servers().filter(|server| **server != self.own) {
            self.push(server, receipt.position, |queue| {
                queue.push_receipt(key.clone(), receipt.clone());
            });
        }
        Ok(())
    }

    /// Tells the other servers that are in a room now something that may be lost.
    pub(super) async fn push_edu(
        self: &Arc<Self>,
        room: RoomRow,
        position: Position,
        push: impl Fn(&mut Edus, String),
    ) -> Result<()> {
        let audience = self.engine.servers_now(room).await?;
        for server in audience.servers().filter(|server| **server != self.own) {
            self.push(server, position, |queue| {
                queue.push_edu(|edus| push(edus, audience.room_id.to_string()));
            });
        }
        Ok(())
    }
}
