//! Section `server_notices`: what the operator has to say to the users.

use super::raw::Raw;
use super::section::{Setting, section};

section! {
    /// Notices to your users, which administrators send through /_synapse/admin/v1/send_server_notice. Everybody has one room
    /// for them, which cannot be answered.
    "server_notices" ServerNotices {
        /// Who sends them: the name before the colon of a user that is nobody else. Left out, there are no notices.
        user: Option<NoticeUser>, example "notices";

        /// What that user is called.
        display_name: NoticeText, default "Server Notices";

        /// The picture of that user.
        avatar_url: Option<NoticeText>, example "mxc://example.org/picture";

        /// The name of the rooms.
        room_name: NoticeText, default "Server Notices";
    }
}

/// The name of a user of this server, as it stands before the colon.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NoticeUser(pub(crate) String);

impl Setting for NoticeUser {
    const EXPECTED: &'static str = r#"a name like "notices" (a-z, 0-9 and ._=-/+)"#;

    fn read(raw: &Raw) -> Option<Self> {
        /// The longest one, so that the user id is none too long with most server names.
        const BYTES_MAX: usize = 64;
        let text = raw.text()?;
        let fits = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte)
        };
        let is_one = !text.is_empty() && text.len() <= BYTES_MAX && text.bytes().all(fits);
        is_one.then(|| Self(text.to_owned()))
    }
}

/// What users read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NoticeText(pub(crate) String);

impl Setting for NoticeText {
    const EXPECTED: &'static str = "a text of 1 to 255 characters";

    fn read(raw: &Raw) -> Option<Self> {
        /// As for names of people and rooms.
        const CHARS_MAX: usize = 255;
        let text = raw.text()?.trim();
        let fits = !text.is_empty() && text.chars().count() <= CHARS_MAX;
        fits.then(|| Self(text.to_owned()))
    }
}
