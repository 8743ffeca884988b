//! Asking the policy server of a room to sign an event: server-server API, "Asking for a Policy Server signature on an
//! event".
//!
//! Nobody who asks holds up a worker: see `room/policy.rs`.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use ruma::{OwnedEventId, ServerName};
use spec::{event::Event, policy::PolicyServer};
use tokio::time::timeout;

use super::join::ERRCODE_BYTES_MAX;
use crate::{
    Error, Result,
    peers::PeerError,
    room::{policy::Unsigned, receive::Incoming, send::Sent},
    rooms::RoomHandle,
};

/// How long a policy server may look at an event that a user of this server sends, who waits for it. They look at media:
/// Synapse waits as long.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How often it is asked within this time, where it cannot be reached.
const ATTEMPTS_MAX: usize = 2;
/// How long the policy server may take for what came from other servers at once. The rest is soft-failed, so that a slow
/// one does not keep a room's turn from others.
const RECEIVED_WITHIN: Duration = Duration::from_secs(20);
/// How many events that came in it is asked about at the same time.
const AT_ONCE: usize = 8;
/// For how long a policy server that did not answer is not asked about what comes in, in ms.
const SILENT_MS: i64 = 30_000;
/// How often the policy server of a room may change while one event waits for it.
const CHANGES_MAX: usize = 3;
/// How long a policy server may have clients wait that has too much to do.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);
/// The codes that a policy server may refuse with, besides those of its own. Others mean something for the session of the
/// client, which is none of its business.
const ERRCODES: [&str; 5] = [
    "M_FORBIDDEN",
    "M_NOT_FOUND",
    "M_BAD_JSON",
    "M_NOT_JSON",
    "M_UNRECOGNIZED",
];

impl RoomHandle {
    /// Has the policy server sign a local event, and puts it into the room; returns when it is on disk.
    ///
    /// # Errors
    /// [`Error::Policy`]: it refuses. [`Error::LimitExceeded`]: it has too much to do. [`Error::Unreachable`]: it gives no
    /// usable answer. [`Error::Forbidden`], [`Error::DuplicateAnnotation`]: by the time it has signed, the room has
    /// changed and refuses the event. In each case there is no event.
    pub(crate) async fn sign_and_place(&self, unsigned: Unsigned) -> Result<OwnedEventId> {
        let Unsigned {
            mut event,
            txn,
            mut policy,
        } = unsigned;
        for _ in 0..CHANGES_MAX {
            event = self.signed_by(&policy, event).await?;
            let (signed, txn) = (event.clone(), txn.clone());
            let placed =
                self.run(move |room| Box::pin(async move { room.place_signed(signed, txn).await }));
            match placed.await? {
                Sent::Written { event_id, pending } => {
                    pending.wait().await?;
                    return Ok(event_id);
                }
                // Another was chosen meanwhile.
                Sent::Unsigned(again) => policy = again.policy,
            }
        }
        Err(Error::Unreachable(
            "The policy server of the room changes all the time".to_owned(),
        ))
    }

    /// An event with the signature of the policy server, if the room has one that must sign it.
    ///
    /// # Errors
    /// [`Error::Policy`], [`Error::Unreachable`]: as above.
    pub(crate) async fn recommended(&self, event: Event) -> Result<Event> {
        let asked = event.clone();
        let policy = self
            .run(move |room| Box::pin(async move { room.policy_against(&asked).await }))
            .await?;
        match policy {
            Some(policy) => self.signed_by(&policy, event).await,
            None => Ok(event),
        }
    }

    /// Asks for signatures on those of these events that came from other servers and lack them. What the policy server
    /// does not sign stays as it is; it is not asked again.
    pub(crate) async fn ask_for_received(&self, incoming: Vec<Incoming>) -> Result<Vec<Incoming>> {
        let events: Vec<Event> = incoming.iter().map(|one| one.event.clone()).collect();
        let policies = self.run(move |room| {
            Box::pin(async move {
                let mut policies = Vec::with_capacity(events.len());
                for event in &events {
                    policies.push(room.policy_against(event).await?);
                }
                Ok(policies)
            })
        });
        let policies = policies.await?;
        let deadline = tokio::time::Instant::now() + RECEIVED_WITHIN;
        let asked = incoming.into_iter().zip(policies);
        let asked = asked.map(|(incoming, policy)| async move {
            match policy.filter(|_| !incoming.asked) {
                Some(policy) => self.ask_for_one(&policy, incoming, deadline).await,
                None => incoming,
            }
        });
        Ok(stream::iter(asked).buffered(AT_ONCE).collect().await)
    }

    async fn ask_for_one(
        &self,
        policy: &PolicyServer,
        mut incoming: Incoming,
        deadline: tokio::time::Instant,
    ) -> Incoming {
        incoming.asked = true;
        let (server, now) = (policy.name().to_owned(), self.context.clock.now_ms());
        let silent = &self.context.asked.silent_policies;
        if silent.get(&server, now).is_some() || !policy.has_key() {
            return incoming;
        }
        let asked = tokio::time::timeout_at(deadline, self.ask(policy, &incoming.event)).await;
        match asked {
            Ok(Ok(signed)) => incoming.event = signed,
            Ok(Err(PeerError::Unreachable(_) | PeerError::Busy { .. })) | Err(_) => {
                silent.put(server, (), 0, now + SILENT_MS);
            }
            Ok(Err(error)) => {
                tracing::info!(event = %incoming.event.id(), %error, "not recommended");
            }
        }
        incoming
    }

    async fn signed_by(&self, policy: &PolicyServer, event: Event) -> Result<Event> {
        if !policy.has_key() {
            return Err(Error::Unreachable(format!(
                "The room asks for signatures of the policy server {}, but names no usable key for them; whoever may \
                 change the room's m.room.policy can mend that",
                policy.name()
            )));
        }
        let asking = async {
            let mut asked = self.ask(policy, &event).await;
            for _ in 1..ATTEMPTS_MAX {
                if matches!(asked, Err(PeerError::Unreachable(_))) {
                    asked = self.ask(policy, &event).await;
                }
            }
            asked
        };
        match timeout(ANSWER_WITHIN, asking).await {
            Ok(Ok(signed)) => Ok(signed),
            Ok(Err(PeerError::Refused {
                status,
                errcode,
                error,
                ..
            })) => Err(refusal(status, errcode, error)),
            Ok(Err(PeerError::Invalid { why, .. })) => Err(Error::Unreachable(format!(
                "The policy server {} of the room gave no usable signature: {why}",
                policy.name()
            ))),
            Ok(Err(PeerError::Busy { retry_after, .. })) => Err(Error::LimitExceeded {
                retry_after: retry_after.min(RETRY_AFTER_MAX),
            }),
            Ok(Err(PeerError::Unreachable(_))) | Err(_) => Err(unreachable(policy.name())),
        }
    }

    /// Asks once; the signature has been checked.
    async fn ask(
        &self,
        policy: &PolicyServer,
        event: &Event,
    ) -> std::result::Result<Event, PeerError> {
        let server = policy.name();
        let Some(peers) = self.context.peers.get() else {
            return Err(PeerError::Unreachable(server.to_owned()));
        };
        let pdu = event.with_unsigned(None);
        let answer = peers.policy_sign(server, pdu.object()).await?;
        let signed = policy.signature_in(&answer);
        let signed = signed.map(|signature| event.with_policy_signature(server, signature));
        signed
            .filter(|event| policy.recommends(self.meta.version, event))
            .ok_or_else(|| PeerError::Invalid {
                server: server.to_owned(),
                why: "it is not one of the event by the key that the room names".to_owned(),
            })
    }

    /// Brings the extremities of a room together whose policy server must sign the event that does it.
    pub(super) fn merge_when_many(&self) {
        let room = self.clone();
        self.spawn(async move {
            let proposed = room.run(|room| Box::pin(async move { room.propose_merge().await }));
            let merged = match proposed.await {
                Ok(Some(unsigned)) => room.sign_and_place(unsigned).await.map(drop),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = merged {
                tracing::info!(room = %room.meta.id, %error, "cannot bring extremities together");
            }
        });
    }
}

/// A refusal as the client gets it: as it came, as far as it speaks of the event and not of the client.
fn refusal(status: u16, errcode: String, error: String) -> Error {
    let own = !errcode.starts_with("M_") && errcode.contains('.');
    let passes = (own && errcode.len() <= ERRCODE_BYTES_MAX) || ERRCODES.contains(&&*errcode);
    Error::Policy {
        // 401 is about the token of the client.
        status: if status == 401 { 403 } else { status },
        errcode: if passes {
            errcode
        } else {
            "M_FORBIDDEN".to_owned()
        },
        error,
    }
}

fn unreachable(server: &ServerName) -> Error {
    Error::Unreachable(format!(
        "The policy server {server} of the room does not answer, and without it nothing can be sent there. Try again \
         later; whoever may change the room's m.room.policy can do without it"
    ))
}
