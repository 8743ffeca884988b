//! Which names an account may have, and which account a typed name means.
//!
//! Specification: appendices, "User Identifiers".

use ruma::{OwnedUserId, ServerName, UserId};

use crate::{Error, Result};

/// The longest user id in bytes, sigil and server name included: appendices, "Common Identifier Format".
const USER_ID_BYTES_MAX: usize = 255;

/// The user id for a name that somebody wants to register. Upper case is lowered.
///
/// Names that begin with `_` are kept for application services, all-digit names for guests.
///
/// # Errors
/// [`Error::InvalidUsername`]: empty, too long, reserved, or with characters outside `a-z 0-9 . _ = - / +`.
pub(super) fn for_registration(wanted: &str, server: &ServerName) -> Result<OwnedUserId> {
    let localpart = wanted.to_ascii_lowercase();
    let refuse = |why: &str| Err(Error::InvalidUsername(why.to_owned()));
    if localpart.is_empty() {
        return refuse("A user name needs at least one character");
    }
    if !localpart.bytes().all(is_allowed) {
        return refuse("A user name may contain only the letters a-z, digits and . _ = - / +");
    }
    if localpart.starts_with('_') {
        return refuse("User names that begin with _ are reserved for application services");
    }
    if localpart.bytes().all(|byte| byte.is_ascii_digit()) {
        return refuse("User names that consist of digits only are reserved for guests");
    }
    let Some(user_id) = join(&localpart, server) else {
        return refuse("The user name is too long: with the server name it may have 255 bytes");
    };
    Ok(user_id)
}

/// The user id that a person means who types `user` to log in: a localpart or a full user id, in any case.
///
/// `None`: it cannot be a user of `server`.
pub(super) fn for_login(user: &str, server: &ServerName) -> Option<OwnedUserId> {
    let localpart = match user.strip_prefix('@') {
        Some(full) => {
            let (localpart, of_server) = full.split_once(':')?;
            of_server
                .eq_ignore_ascii_case(server.as_str())
                .then_some(localpart)?
        }
        None => user,
    };
    join(&localpart.to_lowercase(), server)
}

fn join(localpart: &str, server: &ServerName) -> Option<OwnedUserId> {
    let user_id = format!("@{localpart}:{server}");
    if user_id.len() > USER_ID_BYTES_MAX || user_id.contains('\0') {
        return None;
    }
    <&UserId>::try_from(user_id.as_str())
        .ok()
        .map(ToOwned::to_owned)
}

fn is_allowed(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'-' | b'/' | b'+')
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::{for_login, for_registration};
    use crate::Error;

    /// Behaviour ID-01: upper case is lowered, other characters are refused.
    #[test]
    fn registration_lowers_and_refuses() {
        let server = server_name!("rookery.test");
        for (wanted, user_id) in [
            ("alice", "@alice:rookery.test"),
            ("Alice", "@alice:rookery.test"),
            ("a.b_c=d-e/f+9", "@a.b_c=d-e/f+9:rookery.test"),
            ("9lives", "@9lives:rookery.test"),
        ] {
            assert_eq!(
                for_registration(wanted, server).unwrap(),
                user_id,
                "{wanted}"
            );
        }
        let long = "a".repeat(250);
        for wanted in [
            "", "_bridge", "12345", "al ice", "älice", "a:b", "@alice", "a!", "a\0", &long,
        ] {
            let refusal = for_registration(wanted, server);
            assert!(
                matches!(refusal, Err(Error::InvalidUsername(_))),
                "{wanted:?}: {refusal:?}"
            );
        }
    }

    #[test]
    fn login_takes_localparts_and_full_ids_in_any_case() {
        let server = server_name!("rookery.test");
        for user in [
            "alice",
            "ALICE",
            "@alice:rookery.test",
            "@Alice:rookery.test",
        ] {
            assert_eq!(
                for_login(user, server).unwrap(),
                "@alice:rookery.test",
                "{user}"
            );
        }
        for user in ["@alice:elsewhere.test", "@alice", "a:b", "a\0"] {
            assert_eq!(for_login(user, server), None, "{user}");
        }
    }
}
