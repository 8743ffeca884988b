//! Accounts over a real store, with a clock turned by hand. A file a subject.

mod devices;
mod fixture;
mod kept;
mod passwords;
mod registration;
mod sessions;
