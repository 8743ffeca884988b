//! Accounts: registering, logging in, tokens, devices.

pub mod uia;
