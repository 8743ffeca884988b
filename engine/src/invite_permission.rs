//! Whether users of this server want to be invited: client-server API, "Invite permission".

use ruma::UserId;
use spec::{
    invite_permission::{CONFIG, FILTER, InvitePermission, Verdict},
    json::{Object, Strictness, parse_object},
};
use storage::account_data;

use crate::{Error, Result, context::Context};

impl Context {
    /// What a user of this server has set about invites. Two look-ups by primary key.
    pub(crate) async fn invite_permission(&self, user: &UserId) -> Result<InvitePermission> {
        let db = self.store.reader();
        let mut contents = [const { None::<Object> }; 2];
        for (content, event_type) in contents.iter_mut().zip([CONFIG, FILTER]) {
            let json = account_data::find(db, user, None, event_type).await?;
            *content =
                json.and_then(|json| parse_object(json.as_bytes(), Strictness::Lenient).ok());
        }
        let [config, filter] = &contents;
        Ok(InvitePermission::of(config.as_ref(), filter.as_ref()))
    }

    /// Whether a user of this server wants to see an invite by this one.
    pub(crate) async fn wants_invite(&self, user: &UserId, inviter: &UserId) -> Result<bool> {
        let permission = self.invite_permission(user).await?;
        Ok(permission.verdict(inviter) == Verdict::Allow)
    }

    /// Lets an invite pass that the invited user wants, or does not want to see. Users of other servers are for those to
    /// protect.
    ///
    /// # Errors
    /// [`Error::InviteBlocked`]: they refuse it.
    pub(crate) async fn check_invite(&self, inviter: &UserId, invited: &UserId) -> Result<()> {
        if invited.server_name() != self.server_name || inviter == invited {
            return Ok(());
        }
        match self.invite_permission(invited).await?.verdict(inviter) {
            Verdict::Block => Err(Error::InviteBlocked),
            Verdict::Allow | Verdict::Ignore => Ok(()),
        }
    }
}
