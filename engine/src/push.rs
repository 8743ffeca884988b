//! Push: which events notify whom, and how. Client-server API, "Push Notifications" and "Receiving notifications".
//!
//! Nothing of it is done while an event is sent. It follows the one log behind the writer: [`scores`] tries the rules of
//! all who are in the room on each event, and remembers in a table and in memory what that changes. Whoever answers with
//! counts waits until the log has been followed as far as the answer goes, and does the work if nobody else does
//! ([`Context::scored`](crate::context::Context::scored)), so that a count comes with the event that changed it.
//!
//! [`deliver`] tells users by their pushers, from the table, so that nothing is forgotten when the server stops
//! ([`unwritten`] is what waits for a moment to be written there, and is followed again if it is lost): [`tell`] push gateways
//! and the push services of browsers ([`web`]) of each event, [`mail`] people of what they have missed.
//!
//! The default rules are tried once for all who have no others; only those who have changed their rules, ignore somebody
//! or are mentioned are looked at one by one, and only where that makes a difference there is a row for them.

mod defaults;
pub(crate) mod deliver;
mod follow;
mod gateway;
mod kind;
mod list;
mod mail;
mod notify;
mod outcome;
mod payload;
mod pending;
mod personal;
mod pushers;
mod reading;
pub(crate) mod rules;
pub(crate) mod scores;
mod shown;
mod tell;
mod turns;
pub(crate) mod unread;
mod unwritten;
mod web;

pub use self::{
    gateway::{GatewayFailure, Gateways, PushService, WebPush},
    kind::PusherKind,
    list::{Notification, NotificationsAsk, NotificationsPage},
    mail::{Mail, MailFailure, MailSettings, Mailer},
    pushers::Pusher,
};
