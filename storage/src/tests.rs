//! Tests of the whole store, each on every database.

mod connections;
mod directory_users;
mod fixture;
mod locks;
mod outbox;
mod purges;
mod queries;
mod relations;
mod remote_keys;
mod search;
mod sliding_connections;
mod snapshots;
mod staged;
mod state_keys;
mod summaries;
mod tables;
mod timeline;
mod writer;
