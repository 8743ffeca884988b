//! How users, rooms and aliases are called.
//!
//! ruma's identifiers hold what may occur in events, historical user IDs included; here is what is stricter than
//! they are, for names that we give out or show. Source: appendices, "Identifier Grammar".

use ruma::UserId;

use crate::server_name;

/// The longest identifier in bytes, sigil and domain included.
pub const MAX_ID: usize = 255;

/// How far the local part of a user ID follows the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Localpart {
    /// As new ones must be: `a-z`, `0-9` and `._=-/+`.
    Current,
    /// Printable ASCII: accepted everywhere.
    Historical,
    /// Anything else but `:` and NUL, also nothing: accepted in events, not shown outside of them.
    NonCompliant,
}

/// How far a local part follows the grammar. `None` if no user ID may have it.
pub fn localpart(text: &str) -> Option<Localpart> {
    if text.contains([':', '\0']) {
        return None;
    }
    let current = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'-' | b'/' | b'+');
    Some(if text.is_empty() {
        Localpart::NonCompliant
    } else if text.bytes().all(current) {
        Localpart::Current
    } else if text.bytes().all(|byte| (0x21..=0x7E).contains(&byte)) {
        Localpart::Historical
    } else {
        Localpart::NonCompliant
    })
}

/// Whether a user may be named to clients outside of events, such as in device lists.
pub fn may_be_surfaced(user: &UserId) -> bool {
    localpart(user.localpart()).is_some_and(|kind| kind != Localpart::NonCompliant)
}

/// Whether a text is a room alias: `#`, a local part of any characters but `:` and NUL, `:`, a server name.
pub fn is_alias(text: &str) -> bool {
    let Some((localpart, server)) = text.strip_prefix('#').and_then(|rest| rest.split_once(':'))
    else {
        return false;
    };
    text.len() <= MAX_ID && !localpart.contains('\0') && server_name::parse(server).is_some()
}

/// Whether a text is an opaque identifier of at most `max` characters: `A-Z a-z 0-9 . _ ~ -`, at least one.
pub fn is_opaque(text: &str, max: usize) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
    (1..=max).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether a text follows the common namespaced identifier grammar: `a-z`, then `a-z 0-9 - _ .`.
pub fn is_namespaced(text: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    text.len() <= MAX_ID
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(allowed)
}

/// Whether a text could name a room version, ours or not: 1 to 32 of `a-z 0-9 . -`.
pub fn is_room_version(text: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
    };
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}
