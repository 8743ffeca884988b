//! What the black-box tests are written with: a server to start, people who use it, and the check of every answer
//! against `spec/api`.
//!
//! Nothing here knows the server from inside. Where `TEST_SERVER_URL` names a running Matrix server with open
//! registration, the tests talk to that one, and those that need a server of their own are skipped.

pub mod api;
pub mod call;
pub mod case;
pub mod database;
pub mod events;
pub mod eventually;
pub mod federation;
pub mod mail;
pub mod path;
pub mod peer;
pub mod proxy;
pub mod room;
pub mod server;
pub mod socket;
pub mod switch;
pub mod synapse;
pub mod sync;
pub mod user;

pub use call::{Answer, Call};
pub use mail::MailServer;
pub use peer::Peer;
pub use room::Room;
pub use server::TestServer;
pub use user::User;
