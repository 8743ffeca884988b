//! Section `voip`: what calls need.

use std::time::Duration;

use super::problem::Problem;
use super::raw::Raw;
use super::section::{Setting, section};
use super::source::Source;
use super::value::{BaseUrl, Secret, list};

section! {
    /// What calls need: TURN servers, without which they fail for many people behind routers, and LiveKit servers for those
    /// of many people.
    "voip" Voip {
        /// Where they are, as clients get it: "turn:turn.example.org?transport=udp".
        turn_uris: Vec<TurnUri>, default [];

        /// The secret that the TURN server shares with this one ("static-auth-secret" of coturn), by which
        /// everybody gets a password that is good for a while.
        turn_shared_secret: Option<Secret>, example "a long random text";

        /// In place of a secret: one name for everybody.
        turn_username: Option<TurnName>, example "rookery";

        /// The password of that name.
        turn_password: Option<Secret>, example "a long random text";

        /// How long a password is good.
        turn_lifetime: Duration, default "1 d";

        /// Whether guests get them too (registration.guests).
        turn_for_guests: bool, default false;

        /// For calls of many people (Element Call): the URLs of the services that let clients into a LiveKit server
        /// (lk-jwt-service). Clients get them at /.well-known/matrix/client as well.
        livekit_urls: Vec<BaseUrl>, default [];
    }
}

/// Where a TURN server is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TurnUri(pub(crate) String);

impl Setting for TurnUri {
    const EXPECTED: &'static str = r#"a URI like "turn:turn.example.org?transport=udp""#;

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?.trim();
        let schemes = ["turn:", "turns:", "stun:", "stuns:"];
        let known = schemes.iter().any(|scheme| text.starts_with(scheme));
        let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        (known && plain).then(|| Self(text.to_owned()))
    }
}

impl Setting for Vec<TurnUri> {
    const EXPECTED: &'static str = r#"a list of URIs like ["turn:turn.example.org?transport=udp"]"#;

    fn read(raw: &Raw) -> Option<Self> {
        list(raw)
    }
}

/// The name for a TURN server that knows one name for all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TurnName(pub(crate) String);

impl Setting for TurnName {
    const EXPECTED: &'static str = "a name that is not empty";

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?;
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
}

/// A TURN server is of no use without what opens it.
pub(super) fn check(voip: &Voip, source: &mut Source) {
    let fixed = voip.turn_username.is_some() && voip.turn_password.is_some();
    if !voip.turn_uris.is_empty() && voip.turn_shared_secret.is_none() && !fixed {
        source.note(Problem::of(
            "voip.turn_uris",
            "needs voip.turn_shared_secret, or voip.turn_username and voip.turn_password",
        ));
    }
}
