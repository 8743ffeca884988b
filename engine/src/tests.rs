//! Rooms and sync over a store, as the APIs use them: a clock turned by hand, no HTTP.

mod at_once;
mod backfill;
mod chat;
mod directory;
mod erased;
mod extremities;
mod federation;
mod fixture;
mod forks;
mod handshake;
mod history;
mod outgoing;
mod policy;
mod presence;
mod profile;
mod push;
mod pushers;
mod receive;
mod redactions;
mod relations;
mod removal;
mod reports;
mod rescind;
mod search;
mod upgrade;
mod wire;
