//! Why the engine did not do what was asked. It speaks of rooms and users, never of HTTP.

use std::time::Duration;

/// The engine's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a [`Error::NotFound`] did not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A room that this server knows.
    Room,
    /// An event that the asker may see.
    Event,
    /// A state event of a room.
    State,
    /// A room alias.
    Alias,
    /// An account of this server.
    User,
    /// A device of the asker.
    Device,
    /// A profile, or a field of one.
    Profile,
    /// An account-data entry.
    AccountData,
    /// A stored filter.
    Filter,
    /// A push rule of the asker.
    PushRule,
    /// The list of public rooms of another server.
    Directory,
    /// An event that waits to be sent.
    DelayedEvent,
    /// A thread that the asker follows.
    ThreadSubscription,
    /// A report to those who run the server.
    Report,
    /// E-mails that somebody gets.
    Subscription,
}

impl Subject {
    /// A sentence for people that says what is missing.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Room => "There is no such room on this server",
            Self::Event => "There is no such event, or it is not for you to see",
            Self::State => "The room has no such state event",
            Self::Alias => "There is no such room alias",
            Self::User => "There is no such user",
            Self::Device => "You have no such device",
            Self::Profile => "There is no such profile, or it has no such field",
            Self::AccountData => "There is no such account data",
            Self::Filter => "You have no such filter",
            Self::PushRule => "You have no such push rule",
            Self::ThreadSubscription => "You do not follow this thread",
            Self::Report => "There is no such report",
            Self::Subscription => "No e-mails are sent by this link",
            Self::DelayedEvent => "There is no such event that waits",
            Self::Directory => "That server has no list of public rooms",
        }
    }
}

/// Why the engine refused or failed. A `String` in a variant is a sentence for the person who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for does not exist, or the asker may not know that it does.
    #[error("{}", .0.sentence())]
    NotFound(Subject),
    /// The asker may not do this.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// The authorization rules of the room refuse the event.
    #[error("the rules of the room refuse it")]
    Denied(#[from] spec::auth::Denied),
    /// The access token is unknown, revoked or expired. After a soft logout the client keeps its keys.
    #[error("the access token is unknown")]
    UnknownToken {
        /// Whether the device still exists and only the token has run out.
        soft_logout: bool,
    },
    /// The content has the wrong shape for what was asked.
    #[error("bad JSON: {0}")]
    BadJson(String),
    /// A parameter has a value that makes no sense.
    #[error("invalid parameter: {0}")]
    InvalidParam(String),
    /// The place on a connection of sliding sync is not known: the client has to begin anew.
    #[error("the place on the connection is not known")]
    UnknownPos,
    /// A parameter is missing.
    #[error("missing parameter: {0}")]
    MissingParam(String),
    /// The event or the content is over a limit.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The name of a profile field is too long.
    #[error("profile key too large: {0}")]
    KeyTooLarge(String),
    /// The profile would become too large.
    #[error("profile too large: {0}")]
    ProfileTooLarge(String),
    /// The user name is taken.
    #[error("the user name is taken")]
    UserInUse,
    /// The e-mail address belongs to another account.
    #[error("the e-mail address is taken")]
    EmailInUse,
    /// The account has no such e-mail address.
    #[error("the account has no such e-mail address")]
    EmailNotFound,
    /// The user name breaks the grammar.
    #[error("invalid user name: {0}")]
    InvalidUsername(String),
    /// The password is too weak.
    #[error("weak password: {0}")]
    WeakPassword(String),
    /// The account was deactivated.
    #[error("the account is deactivated")]
    UserDeactivated,
    /// The account is locked; its tokens are kept.
    #[error("the account is locked")]
    UserLocked,
    /// The account is suspended and may only read.
    #[error("the account is suspended")]
    UserSuspended,
    /// More steps of user-interactive authentication are needed.
    #[error("user-interactive authentication is needed")]
    Interactive(Box<crate::account::uia::Challenge>),
    /// The alias is taken.
    #[error("the room alias is taken")]
    RoomInUse,
    /// Alias creation met an alias that exists.
    #[error("the alias exists")]
    AliasExists,
    /// This is not for guests.
    #[error("not for guests: {0}")]
    GuestAccessForbidden(String),
    /// The invited user does not want the invite.
    #[error("the user blocks invites")]
    InviteBlocked,
    /// An invite to the room for notices of the server cannot be rejected.
    #[error("the invite is to the room for notices")]
    CannotLeaveNotices,
    /// The room version is not one that this server can create.
    #[error("unsupported room version {0}")]
    UnsupportedRoomVersion(String),
    /// The room to be joined or knocked at has a version that this server does not know.
    #[error("the room has the version {0}, which this server does not know")]
    IncompatibleRoomVersion(String),
    /// The room lets in the members of rooms of which this server cannot tell who is in them. Another may.
    #[error("this server does not know the rooms whose members may join")]
    UnableToAuthoriseJoin,
    /// The user meets the room's conditions, but nobody of this server may let them in. Another may have somebody.
    #[error("nobody of this server may let the user in")]
    UnableToGrantJoin,
    /// The initial state of a new room is not allowed.
    #[error("invalid room state: {0}")]
    InvalidRoomState(String),
    /// An alias in a canonical alias event does not point to the room.
    #[error("bad alias: {0}")]
    BadAlias(String),
    /// The user is not in the state that the operation needs.
    #[error("bad state: {0}")]
    BadState(String),
    /// The same annotation exists already.
    #[error("duplicate annotation")]
    DuplicateAnnotation,
    /// The method is not for this resource (`m.fully_read` through account data).
    #[error("not allowed here: {0}")]
    MethodNotAllowed(String),
    /// Another server is needed for it, and gives no usable answer.
    #[error("another server does not answer: {0}")]
    Unreachable(String),
    /// The policy server of the room refuses the event, in its own words.
    #[error("the policy server refuses with {status} {errcode}: {error}")]
    Policy {
        /// The status of its answer, 400 to 499.
        status: u16,
        /// The Matrix error code.
        errcode: String,
        /// Its sentence for people.
        error: String,
    },
    /// Another server refuses to let the user in or to take their invite, in its own words.
    #[error("another server refuses with {status} {errcode}: {error}")]
    Elsewhere {
        /// The status of its answer, 400 to 499.
        status: u16,
        /// The Matrix error code.
        errcode: String,
        /// Its sentence for people.
        error: String,
    },
    /// The identity server is none that this server asks.
    #[error("the identity server {0} is not trusted")]
    ServerNotTrusted(String),
    /// An identity server refuses, in its own words.
    #[error("an identity server refuses with {status} {errcode}: {error}")]
    Identity {
        /// The status of its answer, 400 to 499.
        status: u16,
        /// The Matrix error code.
        errcode: String,
        /// A sentence for people.
        error: String,
    },
    /// A refusal without a code of its own in the specification (`M_UNKNOWN`, 400).
    #[error("refused: {0}")]
    Refused(String),
    /// The event for whose sake a thread was to be followed is not in it.
    #[error("the event is not in the thread")]
    NotInThread,
    /// The user has stopped to follow the thread since the event for whose sake they were to do so.
    #[error("the user has unsubscribed since")]
    Unsubscribed,
    /// An event would wait for too long before it is sent.
    #[error("a delay of over {max_ms} ms")]
    DelayTooLong {
        /// The longest one, in ms.
        max_ms: i64,
    },
    /// Too much of something in too short a time.
    #[error("rate limited")]
    LimitExceeded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The store failed; the cause is for the log, not for the asker.
    #[error("the store failed")]
    Store(#[from] storage::Error),
    /// An invariant of ours was broken, or the server is stopping.
    #[error("internal: {0}")]
    Internal(String),
}
