//! Notices of the server to its users: client-server API, "Server Notices".
//!
//! Each user has one room for them, which a user of the server itself has made. Notices are not encrypted, cannot be
//! answered, and the invite to them cannot be rejected.

use ruma::{OwnedDeviceId, OwnedEventId, OwnedUserId, RoomId, UserId};
use serde_json::json;
use spec::{json::Object, object};
use storage::members::{self, Member, Membership};

use crate::{
    CreateRoom, Engine, Error, Preset, Requester, Result, Send, SetState, Subject,
    account::NewAccount,
    profile::{AVATAR_URL, DISPLAYNAME},
    rooms::RoomHandle,
};

/// The tag by which clients know the room.
const TAG: &str = "m.server_notice";
/// What users may do in it, below everything that has a level.
const USERS_DEFAULT: i64 = -10;

/// Whose notices they are, and where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeSettings {
    /// Who sends them: a user of this server, whom nobody else is. The account is made with the first notice.
    pub user_id: OwnedUserId,
    /// What the sender is called.
    pub displayname: String,
    /// The sender's picture, an `mxc:` URI.
    pub avatar_url: Option<String>,
    /// The name of the rooms.
    pub room_name: String,
}

/// How notices are sent, once in an engine.
pub(crate) struct Notices {
    pub(crate) settings: Option<NoticeSettings>,
    /// One after another, so that nobody gets two rooms.
    alone: tokio::sync::Mutex<()>,
}

impl Notices {
    pub(crate) fn new(settings: Option<NoticeSettings>) -> Self {
        Self {
            settings,
            alone: tokio::sync::Mutex::default(),
        }
    }

    /// Refuses to reject an invite to a room for notices.
    ///
    /// # Errors
    /// [`Error::CannotLeaveNotices`].
    pub(crate) fn check_leave(&self, member: Option<&Member>) -> Result<()> {
        let sender = self
            .settings
            .as_ref()
            .map(|settings| settings.user_id.as_str());
        match member {
            Some(member)
                if member.membership == Membership::Invite && sender == Some(&*member.sender) =>
            {
                Err(Error::CannotLeaveNotices)
            }
            _ => Ok(()),
        }
    }
}

/// What is told to a user.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Whom.
    pub user_id: OwnedUserId,
    /// The type of the event.
    pub event_type: String,
    /// Of a state event.
    pub state_key: Option<String>,
    /// Its content.
    pub content: Object,
    /// The transaction id of whoever has it sent.
    pub txn_id: Option<String>,
}

impl Engine {
    /// Sends a notice, in the room that the user has for them, which is made with the first one; a user who has left it is
    /// invited again. A repeated transaction of the same session gets the first answer.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: `by` is no administrator. [`Error::Refused`]: this server sends none. [`Error::InvalidParam`]: a
    /// user of another server. [`Error::NotFound`]: no such user.
    pub async fn send_notice(&self, by: &Requester, notice: Notice) -> Result<OwnedEventId> {
        by.require_admin()?;
        self.notify(&format!("{}/{}", by.user_id, by.device()), notice)
            .await
    }

    /// The same for the server itself. `session`: whose the transaction is.
    ///
    /// # Errors
    /// As [`Engine::send_notice`].
    pub(crate) async fn notify(&self, session: &str, notice: Notice) -> Result<OwnedEventId> {
        let settings = self.context.notices.settings.as_ref().ok_or_else(|| {
            Error::Refused("This server does not send notices to its users".to_owned())
        })?;
        let user = &notice.user_id;
        if !self.accounts().is_ours(user) {
            let sentence = "Notices are for users of this server";
            return Err(Error::InvalidParam(sentence.to_owned()));
        }
        match self.accounts().account(user).await? {
            Some(account) if !account.deactivated => {}
            _ => return Err(Error::NotFound(Subject::User)),
        }
        let sender = Requester {
            user_id: settings.user_id.clone(),
            // Transactions are those of whoever has it sent.
            device_id: Some(OwnedDeviceId::from(session)),
            admin: false,
            guest: false,
        };
        let room = {
            let _alone = self.context.notices.alone.lock().await;
            self.introduce(settings, &sender).await?;
            self.notice_room(settings, &sender, user).await?
        };
        match notice.state_key {
            Some(state_key) => {
                let ask = SetState {
                    event_type: notice.event_type,
                    state_key,
                    content: notice.content,
                };
                room.set_state(&sender, ask).await
            }
            None => {
                let ask = Send {
                    event_type: notice.event_type,
                    content: notice.content,
                    txn_id: notice.txn_id,
                };
                room.send(&sender, ask).await
            }
        }
    }

    /// Makes the sender's account if there is none, and gives it name and picture.
    async fn introduce(&self, settings: &NoticeSettings, sender: &Requester) -> Result<()> {
        let accounts = self.accounts();
        if accounts.account(&sender.user_id).await?.is_none() {
            let new = NewAccount {
                localpart: sender.user_id.localpart().to_owned(),
                password: None,
                admin: false,
            };
            accounts.create(new).await?;
        }
        let name = (DISPLAYNAME, Some(&settings.displayname));
        for (field, value) in [name, (AVATAR_URL, settings.avatar_url.as_ref())] {
            if let Some(value) = value {
                let value = value.as_str().into();
                self.set_profile_field(sender, &sender.user_id, field, value)
                    .await?;
            }
        }
        Ok(())
    }

    /// The room for notices of a user, who is in it or invited to it.
    async fn notice_room(
        &self,
        settings: &NoticeSettings,
        sender: &Requester,
        user: &UserId,
    ) -> Result<RoomHandle> {
        let db = self.context.store.reader();
        let found = members::in_room_of(db, user, &sender.user_id).await?;
        let (room, membership) = match found {
            Some(member) => {
                let room = self.rooms().by_row(member.room).await?;
                (room, Some(member.membership))
            }
            None => {
                let ask = CreateRoom {
                    preset: Some(Preset::Private),
                    name: Some(settings.room_name.clone()),
                    creation_content: object! { "m.federate" => false },
                    power_level_content_override: object! { "users_default" => USERS_DEFAULT },
                    ..CreateRoom::default()
                };
                let id = self.create_room(sender, ask).await?;
                self.tag(user, &id).await?;
                (self.room(&id).await?, None)
            }
        };
        if !matches!(membership, Some(Membership::Join | Membership::Invite)) {
            room.invite_unasked(sender, user).await?;
        }
        Ok(room)
    }

    async fn tag(&self, user: &UserId, room: &RoomId) -> Result<()> {
        let by = Requester {
            user_id: user.to_owned(),
            device_id: None,
            admin: false,
            guest: false,
        };
        let accounts = self.accounts();
        accounts.set_tag(&by, (user, room), TAG, json!({})).await
    }
}
