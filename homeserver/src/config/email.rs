//! Section `email`: e-mails about missed messages.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;

use super::problem::Problem;
use super::raw::Raw;
use super::section::{Setting, section};
use super::source::Source;
use super::value::{BaseUrl, Secret};

section! {
    /// E-mails about messages that were missed, for those who ask for them and whose address you
    /// have entered: homeserver user email NAME ADDRESS.
    "email" Email {
        /// The mail server that takes them, with its port if that is not the usual one. Without it
        /// this server sends no e-mail.
        server: Option<MailServer>, example "mail.example.org";

        /// How the connection is kept private: "tls" from the beginning (port 465), "starttls"
        /// (port 587), or "none" (port 25), which is for a mail server on the same machine.
        security: MailSecurity, default "tls";

        /// Certificate authorities that the mail server may have its certificate from, besides the usual ones:
        /// PEM files.
        trusted_ca: Vec<PathBuf>, default [];

        /// The name to log in with, where the mail server wants one.
        username: Option<MailUser>, example "rookery";

        /// The password of that name.
        password: Option<Secret>, example "a long random text";

        /// Whom they are from.
        from: Option<MailSender>, example "Rookery <noreply@example.org>";

        /// How long a message waits to be read before an e-mail tells of it.
        delay: Duration, default "10 min";

        /// What links to rooms begin with. The room follows.
        room_url: RoomUrl, default "https://matrix.to/#/";

        /// Where people reach this server, for the link that ends the e-mails. Left out, it is
        /// discovery.client_url, or else https:// and server.name.
        public_url: Option<BaseUrl>, example "https://matrix.example.org";
    }
}

/// A host, and a port if it is not the usual one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MailServer {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Setting for MailServer {
    const EXPECTED: &'static str = r#"a host like "mail.example.org" or "mail.example.org:2525""#;

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?.trim();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        let host = (!host.is_empty() && host.chars().all(plain)).then(|| host.to_owned())?;
        Some(Self { host, port })
    }
}

/// How the connection to the mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MailSecurity {
    Tls,
    StartTls,
    None,
}

impl MailSecurity {
    /// The usual port.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

impl Setting for MailSecurity {
    const EXPECTED: &'static str = r#""tls", "starttls" or "none""#;

    fn read(raw: &Raw) -> Option<Self> {
        match raw.text()? {
            "tls" => Some(Self::Tls),
            "starttls" => Some(Self::StartTls),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// The name for a mail server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MailUser(pub(crate) String);

impl Setting for MailUser {
    const EXPECTED: &'static str = "a name that is not empty";

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?;
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
}

/// Whom e-mails are from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MailSender(pub(crate) Mailbox);

impl Setting for MailSender {
    const EXPECTED: &'static str = r#"an address like "Rookery <noreply@example.org>""#;

    fn read(raw: &Raw) -> Option<Self> {
        raw.text()?.parse().ok().map(Self)
    }
}

/// What links to rooms begin with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RoomUrl(pub(crate) String);

impl Setting for RoomUrl {
    const EXPECTED: &'static str = r#"a URL like "https://matrix.to/#/""#;

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?.trim();
        let schemes = ["https://", "http://"];
        let known = schemes.iter().any(|scheme| text.starts_with(scheme));
        let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        (known && plain).then(|| Self(text.to_owned()))
    }
}

/// What must hold between the keys.
pub(super) fn check(email: &Email, source: &mut Source) {
    if email.server.is_some() && email.from.is_none() {
        source.note(Problem::of(
            "email.server",
            "needs email.from: nobody takes an e-mail from nobody",
        ));
    }
    if email.username.is_some() != email.password.is_some() {
        source.note(Problem::of(
            "email.username",
            "and email.password go together: name both or none",
        ));
    }
    if email.username.is_some() && email.security == MailSecurity::None {
        source.note(Problem::of(
            "email.password",
            "would go over the network unencrypted: set email.security to \"tls\" or \"starttls\"",
        ));
    }
}
