//! Black-box tests: what people do, and what must be refused, over HTTP.

mod account_data;
mod coverage;
mod directory;
mod durability;
mod errors;
mod federation;
mod federation_edus;
mod federation_keys;
mod federation_peer;
mod filters;
mod fuzz;
mod history;
mod membership;
mod messages;
mod operation;
mod outage;
mod profile;
mod push;
mod receipts;
mod rooms;
mod session;
mod state;
mod sync;
mod typing;
mod websocket;
