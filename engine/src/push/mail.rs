//! E-mails about what was missed: after a while, nothing of what was read in time, and rarely about a room that goes on.

mod digest;
mod link;
mod silence;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use ruma::{RoomId, UserId};
use spec::event::Event;
use storage::{
    Plain, RoomRow, Write, email_addresses, notifications::Notification, pushers::Pusher,
};

use self::{
    digest::{Digest, DigestRoom, LINES_MAX, Line, ROOMS_MAX},
    silence::{Next, Silence, Waiting},
};
use super::{deliver::succeeded, shown::Shown};
use crate::{Engine, Error, Result, Subject, context::Context};

/// How much that waits is looked at for one e-mail; of what is older only the number is told.
const PENDING_MAX: usize = 1_000;

/// An e-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// To whom: an address.
    pub to: String,
    /// What it is about, one line.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// Where programs can unsubscribe from more of the kind: RFC 8058.
    pub unsubscribe: String,
}

/// Why an e-mail was not taken. The text says more, for the log.
#[derive(Debug, thiserror::Error)]
pub enum MailFailure {
    /// It may be later.
    #[error("the mail server does not take an e-mail now: {0}")]
    Later(String),
    /// It never will be.
    #[error("the mail server refuses an e-mail: {0}")]
    Never(String),
}

/// The way to a mail server.
pub trait Mailer: Send + Sync {
    /// Hands an e-mail over.
    ///
    /// # Errors
    /// It was not taken.
    fn send(&self, mail: Mail) -> BoxFuture<'_, Result<(), MailFailure>>;
}

/// What the operator decides about e-mails.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// Where this server is reached, a URL without a slash at the end: unsubscribing leads there.
    pub public_url: String,
    /// What links to rooms begin with; the room follows.
    pub room_url: String,
    /// How long a message waits to be read before an e-mail tells of it, in ms.
    pub delay_ms: i64,
}

/// How this server sends e-mails.
pub(super) struct Post {
    pub(super) mailer: Arc<dyn Mailer>,
    pub(super) settings: MailSettings,
}

/// Where unsubscribing leads.
const UNSUBSCRIBE: &str = "/_matrix/client/unstable/org.rookery.mail/unsubscribe?token=";

impl Engine {
    /// The address that no more e-mails go to once [`Engine::unsubscribe`] is called with this token.
    ///
    /// # Errors
    /// [`Error::NotFound`]: this server has not made the token.
    pub async fn subscription(&self, token: &str) -> Result<String> {
        let key = self.context.secrets.unsubscribe().await?;
        let named = link::read(&key, token);
        let (_, _, address) = named.ok_or(Error::NotFound(Subject::Subscription))?;
        Ok(address)
    }

    /// Deletes the pusher that an e-mail came from. It is not missed if it is gone. Answers with the address.
    ///
    /// # Errors
    /// As for [`Engine::subscription`].
    pub async fn unsubscribe(&self, token: &str) -> Result<String> {
        let key = self.context.secrets.unsubscribe().await?;
        let named = link::read(&key, token);
        let missing = || Error::NotFound(Subject::Subscription);
        let (user, app_id, pushkey) = named.ok_or_else(missing)?;
        let delete = Plain::PusherDelete {
            user_id: UserId::parse(user).map_err(|_| missing())?,
            app_id,
            pushkey: pushkey.clone(),
        };
        self.context.store.write(Write::plain(vec![delete])).await?;
        Ok(pushkey)
    }
}

impl Context {
    /// Sends an e-mail about what a user has missed, if one is due.
    pub(super) async fn mail(&self, post: &Post, user: &UserId, mut pusher: Pusher) -> Result<()> {
        let address = pusher.pushkey.to_lowercase();
        let owner = email_addresses::find(self.store.reader(), &address).await?;
        if owner.is_none_or(|owner| owner.user_id != user.as_str()) {
            return self.drop_pusher(user, &pusher).await;
        }
        // What was read up to now is not missed.
        self.scored(self.notifier.position()).await?;
        let (missed, end) = self.missed(user, &pusher).await?;
        let before = pusher.clone();
        let waiting: Vec<Waiting> = missed.iter().map(waiting).collect();
        let mut silence = Silence::read(pusher.mailed.as_deref());
        let delay_ms = post.settings.delay_ms;
        match silence.next(&waiting, delay_ms, self.clock.steady_ms()) {
            Next::Nothing => {
                pusher.done = end;
                pusher.retry_ts = 0;
            }
            Next::At(ts) => pusher.retry_ts = ts,
            Next::Now => {
                let digest = self.digest(post, user, missed).await?;
                if !digest.rooms.is_empty() && !self.send(post, &mut pusher, &digest).await? {
                    return Ok(());
                }
                silence.sent(&waiting, delay_ms, self.clock.steady_ms());
                pusher.mailed = silence.write();
                pusher.done = end;
            }
        }
        // Nobody waits for it to be noted that nothing happened.
        match pusher == before {
            true => Ok(()),
            false => self.keep(&pusher).await,
        }
    }

    /// What a user has missed that this pusher was not told, oldest first, and up to where that is all.
    async fn missed(
        &self,
        user: &UserId,
        pusher: &Pusher,
    ) -> Result<(Vec<Notification>, storage::Position)> {
        let (mut missed, mut at) = (Vec::new(), pusher.done);
        loop {
            let page = self.pending(user, at).await?;
            missed.extend(page.rows);
            at = at.max(page.end);
            if page.last || missed.len() >= PENDING_MAX {
                return Ok((missed, at));
            }
        }
    }

    async fn digest(
        &self,
        post: &Post,
        user: &UserId,
        missed: Vec<Notification>,
    ) -> Result<Digest> {
        let mut rooms: Vec<(RoomRow, Vec<Notification>)> = Vec::new();
        // The newest come first, rooms and messages.
        for row in missed.into_iter().rev() {
            match rooms.iter_mut().find(|(room, _)| *room == row.room) {
                Some((_, rows)) => rows.push(row),
                None => rooms.push((row.room, vec![row])),
            }
        }
        let mut digest = Digest {
            user: user.to_string(),
            server: self.server_name.to_string(),
            more_rooms: rooms.len().saturating_sub(ROOMS_MAX),
            ..Digest::default()
        };
        for (_, rows) in rooms.into_iter().take(ROOMS_MAX) {
            digest
                .rooms
                .extend(self.digest_of_room(post, user, &rows).await?);
        }
        Ok(digest)
    }

    /// What was missed in one room, from its notifications, the newest first; `None`: nothing that can be shown.
    async fn digest_of_room(
        &self,
        post: &Post,
        user: &UserId,
        rows: &[Notification],
    ) -> Result<Option<DigestRoom>> {
        let (mut lines, mut room) = (Vec::new(), None);
        for row in rows.iter().take(LINES_MAX) {
            let Some(shown) = self.shown(user, row).await? else {
                continue;
            };
            lines.push(line(&shown));
            room.get_or_insert_with(|| {
                let name = shown.room_name.clone().or(shown.room_alias.clone());
                (name, room_link(post, shown.event.room_id()))
            });
        }
        lines.reverse();
        Ok(room.map(|(name, link)| DigestRoom {
            name,
            link,
            lines,
            more: rows.len().saturating_sub(LINES_MAX),
        }))
    }

    /// Hands an e-mail over and notes what came of it. Answers whether it is done with.
    async fn send(&self, post: &Post, pusher: &mut Pusher, digest: &Digest) -> Result<bool> {
        let key = self.secrets.unsubscribe().await?;
        let named = (
            pusher.user_id.clone(),
            pusher.app_id.clone(),
            pusher.pushkey.clone(),
        );
        let token = link::token(&key, &named);
        let unsubscribe = format!("{}{UNSUBSCRIBE}{token}", post.settings.public_url);
        let mail = Mail {
            to: pusher.pushkey.clone(),
            subject: digest.subject(),
            text: digest.text(&unsubscribe),
            html: digest.html(&unsubscribe),
            unsubscribe,
        };
        let now_ms = self.clock.steady_ms();
        match post.mailer.send(mail).await {
            Ok(()) => succeeded(pusher),
            Err(error @ MailFailure::Never(_)) => {
                tracing::warn!(user = %pusher.user_id, %error, "an e-mail is given up");
                succeeded(pusher);
            }
            Err(error @ MailFailure::Later(_)) => return self.failed(pusher, now_ms, &error).await,
        }
        Ok(true)
    }
}

fn waiting(row: &Notification) -> Waiting {
    Waiting {
        room: row.room,
        noted_ts: row.noted_ts,
    }
}

fn room_link(post: &Post, room: &RoomId) -> String {
    format!("{}{room}", post.settings.room_url)
}

fn line(shown: &Shown) -> Line {
    let event = &shown.event;
    let sender = &shown.sender_display_name;
    Line {
        sender: sender.clone().unwrap_or_else(|| event.sender().to_string()),
        text: said(event),
        invites: shown.user_is_target,
    }
}

/// What an event says, in words.
fn said(event: &Event) -> String {
    let content = |key: &str| event.content().get(key).and_then(|value| value.as_str());
    let kind = match (event.event_type(), content("msgtype")) {
        ("m.room.member", _) => "Invites you",
        ("m.room.encrypted", _) => "An encrypted message",
        ("m.sticker", _) => "A sticker",
        ("m.call.invite", _) => "A call",
        ("org.matrix.msc3381.poll.start" | "m.poll.start", _) => "A poll",
        ("m.room.message", Some("m.image")) => "A picture",
        ("m.room.message", Some("m.video")) => "A video",
        ("m.room.message", Some("m.audio")) => "A recording",
        ("m.room.message", Some("m.file")) => "A file",
        ("m.room.message", Some("m.location")) => "A place",
        ("m.room.message", _) => return content("body").unwrap_or("A message").to_owned(),
        _ => "Something new",
    };
    kind.to_owned()
}
