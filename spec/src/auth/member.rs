//! Memberships, join rules, and the rules for `m.room.member`.

use ruma::{OwnedRoomId, RoomId, UserId};

use super::{Create, Denied, Power, View, third_party};
use crate::{
    event::Event,
    json::{Object, Value},
    room_version::RoomVersion,
};

/// A user's relation to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Membership {
    Join,
    Invite,
    Knock,
    Leave,
    Ban,
    /// A value that no rule knows; never in a state that the rules made.
    Unknown,
}

impl Membership {
    /// What a member event says; [`Membership::Leave`] if there is none.
    pub fn of(event: Option<&Event>) -> Self {
        event.map_or(Self::Leave, |event| {
            event
                .content()
                .get("membership")
                .and_then(Value::as_str)
                .map_or(Self::Unknown, Self::parse)
        })
    }

    /// The membership that this text names.
    pub fn parse(text: &str) -> Self {
        match text {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "knock" => Self::Knock,
            "leave" => Self::Leave,
            "ban" => Self::Ban,
            _ => Self::Unknown,
        }
    }

    /// The text that names it; empty for [`Membership::Unknown`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
            Self::Unknown => "",
        }
    }
}

/// Who may join a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinRule {
    Public,
    Invite,
    Knock,
    Restricted,
    KnockRestricted,
    /// A rule that the room version does not know, `private` among them: it lets nobody join.
    Unknown,
}

impl JoinRule {
    /// What a join rules event says in this room version; [`JoinRule::Invite`] if there is none.
    pub fn of(version: &RoomVersion, event: Option<&Event>) -> Self {
        let Some(event) = event else {
            return Self::Invite;
        };
        match event.content().get("join_rule").and_then(Value::as_str) {
            Some("public") => Self::Public,
            Some("invite") => Self::Invite,
            Some("knock") if version.auth.knock => Self::Knock,
            Some("restricted") if version.auth.restricted => Self::Restricted,
            Some("knock_restricted") if version.auth.knock_restricted => Self::KnockRestricted,
            _ => Self::Unknown,
        }
    }
}

/// The rooms whose members the content of a join rules event lets in, in its order. What is no such condition, or is
/// malformed, is left out: client-server API, "Restricted rooms".
pub fn allowed_rooms(join_rules: &Object) -> Vec<OwnedRoomId> {
    let conditions = join_rules.get("allow").and_then(Value::as_array);
    let room = |condition: &Value| {
        let condition = condition.as_object()?;
        let kind = condition.get("type").and_then(Value::as_str);
        if kind != Some("m.room_membership") {
            return None;
        }
        RoomId::parse(condition.get("room_id")?.as_str()?).ok()
    };
    conditions.into_iter().flatten().filter_map(room).collect()
}

/// The user who is said to authorise a restricted join.
pub(super) fn authoriser(content: &Object) -> Option<&str> {
    content
        .get("join_authorised_via_users_server")
        .and_then(Value::as_str)
}

pub(super) fn check(
    version: &RoomVersion,
    event: &Event,
    create: &Create,
    view: &impl View,
) -> Result<(), Denied> {
    let content = event.content();
    let target = event.state_key().ok_or(Denied::MemberMalformed)?;
    let membership = content.get("membership").ok_or(Denied::MemberMalformed)?;
    if version.auth.restricted && content.contains_key("join_authorised_via_users_server") {
        // That user's server must have signed, which nobody can who is no user.
        let valid = authoriser(content).is_some_and(|user| UserId::parse(user).is_ok());
        if !valid {
            return Err(Denied::AuthoriserMalformed);
        }
    }
    let change = Change {
        event,
        target,
        view,
    };
    match membership
        .as_str()
        .map_or(Membership::Unknown, Membership::parse)
    {
        Membership::Join => change.join(create),
        Membership::Invite => change.invite(),
        Membership::Leave => change.leave(),
        Membership::Ban => change.ban(),
        Membership::Knock if version.auth.knock => change.knock(),
        Membership::Knock | Membership::Unknown => Err(Denied::MembershipUnknown),
    }
}

/// A membership event before a state.
struct Change<'a, V> {
    event: &'a Event,
    target: &'a str,
    view: &'a V,
}

impl<V: View> Change<'_, V> {
    fn sender(&self) -> &str {
        self.event.sender().as_str()
    }

    fn of_oneself(&self) -> bool {
        self.sender() == self.target
    }

    fn sender_joined(&self) -> bool {
        self.view.membership(self.sender()) == Membership::Join
    }

    /// Whether the sender has `level`, and more power than the target.
    fn overpowers(&self, level: i64) -> bool {
        let levels = self.view.power_levels();
        let power = levels.user(self.sender());
        power >= Power::Level(level) && levels.user(self.target) < power
    }

    fn join(&self, create: &Create) -> Result<(), Denied> {
        let first = self.event.prev_events() == [create.id()];
        if first && create.creator() == Some(self.target) {
            return Ok(());
        }
        if !self.of_oneself() {
            return Err(Denied::JoinForAnother);
        }
        let membership = self.view.membership(self.target);
        if membership == Membership::Ban {
            return Err(Denied::JoinBanned);
        }
        let welcome = matches!(membership, Membership::Invite | Membership::Join);
        match self.view.join_rule() {
            JoinRule::Public => Ok(()),
            JoinRule::Unknown => Err(Denied::JoinRuleUnknown),
            _ if welcome => Ok(()),
            JoinRule::Invite | JoinRule::Knock => Err(Denied::JoinNotInvited),
            JoinRule::Restricted | JoinRule::KnockRestricted => self.authorised(),
        }
    }

    /// Whether somebody who may invite stands for the join.
    fn authorised(&self) -> Result<(), Denied> {
        let user = authoriser(self.event.content()).ok_or(Denied::JoinNotInvited)?;
        let levels = self.view.power_levels();
        let joined = self.view.membership(user) == Membership::Join;
        if joined && levels.user(user) >= Power::Level(levels.invite()) {
            Ok(())
        } else {
            Err(Denied::JoinNotAuthorised)
        }
    }

    fn invite(&self) -> Result<(), Denied> {
        let target_membership = self.view.membership(self.target);
        if let Some(third_party) = self.event.content().get("third_party_invite") {
            if target_membership == Membership::Ban {
                return Err(Denied::InviteTargetBanned);
            }
            return third_party::check(self.event, self.target, third_party, self.view);
        }
        if !self.sender_joined() {
            return Err(Denied::InviteSenderNotJoined);
        }
        match target_membership {
            Membership::Join => return Err(Denied::InviteTargetJoined),
            Membership::Ban => return Err(Denied::InviteTargetBanned),
            _ => {}
        }
        let levels = self.view.power_levels();
        if levels.user(self.sender()) >= Power::Level(levels.invite()) {
            Ok(())
        } else {
            Err(Denied::InviteLevel)
        }
    }

    fn leave(&self) -> Result<(), Denied> {
        let target_membership = self.view.membership(self.target);
        if self.of_oneself() {
            return match target_membership {
                Membership::Invite | Membership::Join | Membership::Knock => Ok(()),
                _ => Err(Denied::LeaveNotPresent),
            };
        }
        if !self.sender_joined() {
            return Err(Denied::KickSenderNotJoined);
        }
        let levels = self.view.power_levels();
        let may_ban = levels.user(self.sender()) >= Power::Level(levels.ban());
        if target_membership == Membership::Ban && !may_ban {
            return Err(Denied::UnbanLevel);
        }
        if self.overpowers(levels.kick()) {
            Ok(())
        } else {
            Err(Denied::KickLevel)
        }
    }

    fn ban(&self) -> Result<(), Denied> {
        if !self.sender_joined() {
            return Err(Denied::BanSenderNotJoined);
        }
        if self.overpowers(self.view.power_levels().ban()) {
            Ok(())
        } else {
            Err(Denied::BanLevel)
        }
    }

    fn knock(&self) -> Result<(), Denied> {
        if !matches!(
            self.view.join_rule(),
            JoinRule::Knock | JoinRule::KnockRestricted
        ) {
            return Err(Denied::KnockNotAllowed);
        }
        if !self.of_oneself() {
            return Err(Denied::KnockForAnother);
        }
        match self.view.membership(self.target) {
            Membership::Ban | Membership::Invite | Membership::Join => Err(Denied::KnockPresent),
            _ => Ok(()),
        }
    }
}
