//! Stands in for `spec::event` until that is there.

/// An event.
#[derive(Debug)]
pub struct Event;
