//! Rookery and Synapse share rooms. Each story happens twice: in a room of ours, and in a room of Synapse's.
//!
//! Synapse comes from PyPI and runs on this machine, with its own name, certificate and SQLite file; it trusts and
//! knows nothing but its neighbours.

mod directory;
mod ephemeral;
mod handshakes;
mod history;
mod invites;
mod person;
mod rooms;
mod world;
