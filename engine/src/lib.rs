//! What a homeserver decides: rooms, accounts, sync. No HTTP here.
//!
//! [`Engine`] is what the APIs may ask. It stands on `spec` (the rules, pure) and `storage` (what is kept), and asks
//! for what lies above it through traits: [`Clock`] for the time.

pub mod account;
pub mod account_data;
mod alias;
mod audience;
pub mod buckets;
pub mod chance;
mod clock;
mod context;
mod delayed_events;
pub mod directory;
mod engine;
mod ephemeral;
mod erased;
mod error;
mod events;
mod filter;
mod guests;
pub mod html;
mod ignores;
pub mod inbound;
mod invite_permission;
mod mutual;
mod notices;
mod notifier;
pub mod peers;
mod policy_lists;
mod presence;
pub mod profile;
mod push;
mod read;
mod receipts;
mod relations;
mod remote;
mod render;
mod reports;
mod requester;
mod retention;
mod room;
mod room_meta;
mod rooms;
mod search;
mod secrets;
mod space;
mod states;
mod summary;
pub mod sync;
pub mod third_party;
mod thread_subscriptions;
mod transactions;
mod turn;
mod typing;
mod upgrade;
mod user_directory;

pub use self::{
    audience::Audience,
    clock::{Clock, Steady},
    delayed_events::{Delay, DelayAction},
    directory::{PublicRooms, PublicRoomsAsk, PublicRoomsFilter},
    engine::{Engine, Settings},
    error::{Error, Result, Subject},
    filter::SyncFilter,
    ignores::Ignored,
    mutual::MutualRooms,
    notices::{Notice, NoticeSettings},
    presence::{PresenceNews, PresenceSettings, PresenceState, PresenceStatus},
    profile::{ProfileSettings, is_profile_field},
    push::{
        GatewayFailure, Gateways, Mail, MailFailure, MailSettings, Mailer, Notification,
        NotificationsAsk, NotificationsPage, PushService, Pusher, PusherKind, WebPush,
        rules::RulePlace,
    },
    read::{
        ContextAsk, Direction, EventContext, JoinedMember, MembersAsk, MessagesAsk, MessagesPage,
        Peeked, RoomSnapshot,
    },
    receipts::{Backwards, ReceiptThread},
    relations::{RelationFilter, RelationsAsk, RelationsPage, ThreadsAsk, ThreadsPage},
    reports::{Complaint, ReportsAsk, ReportsPage, SeenReport},
    requester::Requester,
    retention::RetentionSettings,
    room::{
        create::{CreateRoom, InitialState, Preset},
        membership::Target,
        redact::Redact,
        send::{Send, SetState},
        upgrade::Upgrade,
    },
    rooms::RoomHandle,
    search::{
        HitContext, HitProfile, SearchAsk, SearchContext, SearchHit, SearchOrder, SearchPage,
    },
    space::{HierarchyAsk, HierarchyPage, SeenRoom},
    sync::SyncAsk,
    thread_subscriptions::{ThreadSubscriptionChange, ThreadSubscriptionChanges},
    turn::TurnCredentials,
    user_directory::People,
};

pub use spec::search::Key as SearchKey;

#[cfg(test)]
mod tests;
