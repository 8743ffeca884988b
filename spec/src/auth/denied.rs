//! The rules that refuse, each with a name for vectors and logs and a sentence for people.

use std::fmt;

/// The rule that refused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Denied {
    CreateHasParents,
    CreateHasRoomId,
    CreateOfAnotherServer,
    CreateVersionUnknown,
    CreateWithoutCreator,
    CreatorsMalformed,
    NoCreate,
    AuthEventTwice,
    AuthEventNotSelected,
    AuthEventRejected,
    AuthEventsWithoutCreate,
    AuthEventOfAnotherRoom,
    NotFederated,
    AliasesOfAnotherServer,
    MemberMalformed,
    MembershipUnknown,
    AuthoriserMalformed,
    JoinForAnother,
    JoinBanned,
    JoinNotInvited,
    JoinNotAuthorised,
    JoinRuleUnknown,
    InviteSenderNotJoined,
    InviteTargetBanned,
    InviteTargetJoined,
    InviteLevel,
    ThirdPartyMalformed,
    ThirdPartyForAnother,
    ThirdPartyUnknown,
    ThirdPartySender,
    ThirdPartySignature,
    LeaveNotPresent,
    KickSenderNotJoined,
    KickLevel,
    UnbanLevel,
    BanSenderNotJoined,
    BanLevel,
    KnockNotAllowed,
    KnockForAnother,
    KnockPresent,
    SenderNotJoined,
    EventLevel,
    StateKeyOfAnotherUser,
    StateKeyMalformed,
    LevelsMalformed,
    LevelsUsersMalformed,
    LevelsNameCreator,
    LevelsChangeHigher,
    LevelsRaiseAboveOwn,
    LevelsChangeEqual,
    RedactLevel,
}

impl Denied {
    /// All rules that refuse.
    pub const ALL: &[Self] = &[
        Self::CreateHasParents,
        Self::CreateHasRoomId,
        Self::CreateOfAnotherServer,
        Self::CreateVersionUnknown,
        Self::CreateWithoutCreator,
        Self::CreatorsMalformed,
        Self::NoCreate,
        Self::AuthEventTwice,
        Self::AuthEventNotSelected,
        Self::AuthEventRejected,
        Self::AuthEventsWithoutCreate,
        Self::AuthEventOfAnotherRoom,
        Self::NotFederated,
        Self::AliasesOfAnotherServer,
        Self::MemberMalformed,
        Self::MembershipUnknown,
        Self::AuthoriserMalformed,
        Self::JoinForAnother,
        Self::JoinBanned,
        Self::JoinNotInvited,
        Self::JoinNotAuthorised,
        Self::JoinRuleUnknown,
        Self::InviteSenderNotJoined,
        Self::InviteTargetBanned,
        Self::InviteTargetJoined,
        Self::InviteLevel,
        Self::ThirdPartyMalformed,
        Self::ThirdPartyForAnother,
        Self::ThirdPartyUnknown,
        Self::ThirdPartySender,
        Self::ThirdPartySignature,
        Self::LeaveNotPresent,
        Self::KickSenderNotJoined,
        Self::KickLevel,
        Self::UnbanLevel,
        Self::BanSenderNotJoined,
        Self::BanLevel,
        Self::KnockNotAllowed,
        Self::KnockForAnother,
        Self::KnockPresent,
        Self::SenderNotJoined,
        Self::EventLevel,
        Self::StateKeyOfAnotherUser,
        Self::StateKeyMalformed,
        Self::LevelsMalformed,
        Self::LevelsUsersMalformed,
        Self::LevelsNameCreator,
        Self::LevelsChangeHigher,
        Self::LevelsRaiseAboveOwn,
        Self::LevelsChangeEqual,
        Self::RedactLevel,
    ];

    /// The rule's name, as vectors and logs use it.
    pub fn rule(self) -> &'static str {
        self.texts().0
    }

    /// Why it was refused, for people.
    pub fn sentence(self) -> &'static str {
        self.texts().1
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::CreateHasParents => (
                "create.prev_events",
                "A room's first event cannot come after others.",
            ),
            Self::CreateHasRoomId => (
                "create.room_id",
                "In this room version the first event must not name the room.",
            ),
            Self::CreateOfAnotherServer => (
                "create.domain",
                "A room must be created by the server that its ID names.",
            ),
            Self::CreateVersionUnknown => (
                "create.room_version",
                "The room's version is not known to this server.",
            ),
            Self::CreateWithoutCreator => (
                "create.creator",
                "In this room version the first event must name the creator.",
            ),
            Self::CreatorsMalformed => (
                "create.additional_creators",
                "The additional creators must be user IDs.",
            ),
            Self::NoCreate => ("create.missing", "The room's first event is not known."),
            Self::AuthEventTwice => (
                "auth_events.duplicate",
                "The event names two permissions of one kind.",
            ),
            Self::AuthEventNotSelected => (
                "auth_events.selection",
                "The event names as its permission what is none for such an event.",
            ),
            Self::AuthEventRejected => (
                "auth_events.rejected",
                "The event stands on one that was rejected.",
            ),
            Self::AuthEventsWithoutCreate => (
                "auth_events.create",
                "The event does not name the room's first event.",
            ),
            Self::AuthEventOfAnotherRoom => (
                "auth_events.room_id",
                "The event stands on one of another room.",
            ),
            Self::NotFederated => (
                "create.federate",
                "This room is only for users of the server that created it.",
            ),
            Self::AliasesOfAnotherServer => {
                ("aliases.domain", "A server can only list its own aliases.")
            }
            Self::MemberMalformed => (
                "member.malformed",
                "A membership event needs a user and a membership.",
            ),
            Self::MembershipUnknown => (
                "member.unknown",
                "There is no such membership in this room version.",
            ),
            Self::AuthoriserMalformed => (
                "member.authoriser",
                "The user who is said to authorise the join is no valid user ID.",
            ),
            Self::JoinForAnother => ("join.sender", "Users can only join by themselves."),
            Self::JoinBanned => ("join.banned", "The user is banned from this room."),
            Self::JoinNotInvited => (
                "join.not_invited",
                "This room can only be joined by invite.",
            ),
            Self::JoinNotAuthorised => (
                "join.not_authorised",
                "Nobody in the room who may invite has authorised this join.",
            ),
            Self::JoinRuleUnknown => ("join.rule", "The room's join rule lets nobody join."),
            Self::InviteSenderNotJoined => (
                "invite.sender",
                "Only members of the room can invite others.",
            ),
            Self::InviteTargetBanned => ("invite.banned", "The user is banned from this room."),
            Self::InviteTargetJoined => ("invite.joined", "The user is in the room already."),
            Self::InviteLevel => (
                "invite.level",
                "The power level for inviting is higher than the sender's.",
            ),
            Self::ThirdPartyMalformed => (
                "third_party.malformed",
                "The invite by third party is incomplete.",
            ),
            Self::ThirdPartyForAnother => (
                "third_party.mxid",
                "The invite by third party is for another user.",
            ),
            Self::ThirdPartyUnknown => (
                "third_party.token",
                "There is no such invite by third party in the room.",
            ),
            Self::ThirdPartySender => (
                "third_party.sender",
                "The invite by third party was made by another user.",
            ),
            Self::ThirdPartySignature => (
                "third_party.signature",
                "The invite by third party is not signed by its issuer.",
            ),
            Self::LeaveNotPresent => (
                "leave.not_present",
                "The user is neither in the room nor invited to it.",
            ),
            Self::KickSenderNotJoined => {
                ("kick.sender", "Only members of the room can remove others.")
            }
            Self::KickLevel => (
                "kick.level",
                "Removing a user needs the power level for it, and more than the user has.",
            ),
            Self::UnbanLevel => (
                "unban.level",
                "The power level for bans is higher than the sender's.",
            ),
            Self::BanSenderNotJoined => ("ban.sender", "Only members of the room can ban others."),
            Self::BanLevel => (
                "ban.level",
                "Banning a user needs the power level for it, and more than the user has.",
            ),
            Self::KnockNotAllowed => ("knock.rule", "This room does not take knocks."),
            Self::KnockForAnother => ("knock.sender", "Users can only knock by themselves."),
            Self::KnockPresent => (
                "knock.present",
                "The user is banned, invited or in the room already.",
            ),
            Self::SenderNotJoined => ("sender.not_joined", "The sender is not in the room."),
            Self::EventLevel => (
                "event.level",
                "The power level for such an event is higher than the sender's.",
            ),
            Self::StateKeyOfAnotherUser => (
                "event.state_key",
                "Only the user whom the state key names can set this.",
            ),
            Self::StateKeyMalformed => (
                "event.state_key.malformed",
                "The state key neither is a user ID nor begins with one and an underscore.",
            ),
            Self::LevelsMalformed => ("levels.malformed", "A power level is not an integer."),
            Self::LevelsUsersMalformed => (
                "levels.users",
                "Users' power levels must be integers, by user ID.",
            ),
            Self::LevelsNameCreator => (
                "levels.creator",
                "The power of the room's creators cannot be set.",
            ),
            Self::LevelsChangeHigher => (
                "levels.higher",
                "The power level to be changed is higher than the sender's.",
            ),
            Self::LevelsRaiseAboveOwn => (
                "levels.raise",
                "No power level can be set above the sender's own.",
            ),
            Self::LevelsChangeEqual => (
                "levels.equal",
                "Users as powerful as the sender can only lower themselves.",
            ),
            Self::RedactLevel => (
                "redaction.level",
                "The power level for redactions is higher than the sender's.",
            ),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, sentence) = self.texts();
        write!(f, "{sentence} (rule {rule})")
    }
}

impl std::error::Error for Denied {}
