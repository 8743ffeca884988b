//! The links by which e-mails are unsubscribed from: what they name is signed, so that nobody can guess one.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::secrets::SECRET_BYTES;

/// The longest token in bytes: what it names is far shorter.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Which pusher a link is for: user, app and key.
pub(super) type Named = (String, String, String);

/// The token of a link.
pub(super) fn token(key: &[u8; SECRET_BYTES], named: &Named) -> String {
    let named = serde_json::to_vec(named).expect("texts can be written as JSON");
    let tag = signature(key, &named).finalize().into_bytes();
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(named),
        URL_SAFE_NO_PAD.encode(tag)
    )
}

/// What a token names; `None`: this server has not made it.
pub(super) fn read(key: &[u8; SECRET_BYTES], token: &str) -> Option<Named> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (named, tag) = token.split_once('.')?;
    let named = URL_SAFE_NO_PAD.decode(named).ok()?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    signature(key, &named).verify_slice(&tag).ok()?;
    serde_json::from_slice(&named).ok()
}

fn signature(key: &[u8; SECRET_BYTES], named: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(named);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_here_is_read() {
        let named = ["@bob:here", "m.email", "bob@example.org"].map(str::to_owned);
        let named: Named = named.into();
        let token = token(&[1; SECRET_BYTES], &named);
        assert_eq!(read(&[1; SECRET_BYTES], &token), Some(named));
        assert_eq!(read(&[2; SECRET_BYTES], &token), None, "of another server");
        let (said, tag) = token.split_once('.').expect("two parts");
        let other = URL_SAFE_NO_PAD.encode(r#"["@eve:here","m.email","eve@example.org"]"#);
        for forged in [
            format!("{other}.{tag}"),
            said.to_owned(),
            String::new(),
            format!("{said}."),
        ] {
            assert_eq!(read(&[1; SECRET_BYTES], &forged), None, "{forged}");
        }
    }
}
