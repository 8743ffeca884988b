//! In which ways users can be told.

/// How a pusher tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PusherKind {
    /// By a push gateway: push gateway API.
    Http,
    /// By e-mail, about what was missed.
    Email,
    /// By the push service of a browser: `spec/api/extensions/web-push.yaml`.
    Web,
}

impl PusherKind {
    /// As clients and the store write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Email => "email",
            Self::Web => "org.rookery.webpush",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut kinds = [Self::Http, Self::Email, Self::Web].into_iter();
        kinds.find(|kind| kind.name() == name)
    }
}
