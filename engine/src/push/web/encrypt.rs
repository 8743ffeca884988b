//! How a browser gets what only it can read: RFC 8291, "Message Encryption for Web Push", over RFC 8188, "aes128gcm".

use aes_gcm::{Aes128Gcm, KeyInit as _, Nonce, aead::Aead as _};
use hkdf::Hkdf;
use p256::{PublicKey, SecretKey};
use sha2::Sha256;

/// The longest message in bytes: RFC 8291, section 4: with all that comes with it 4,096 bytes, which each push service takes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 3_993;

/// The size of the one record, which is the last one and may be shorter.
const RECORD_BYTES: u32 = 4_096;

/// The byte behind the last record's message.
const LAST: u8 = 2;

/// Whom a message is for: what the browser has given to its client.
#[derive(Clone, Debug)]
pub(crate) struct Recipient {
    /// `p256dh`
    pub(crate) key: PublicKey,
    /// `auth`
    pub(crate) auth: [u8; 16],
}

/// The body of a request to the push service. `key` and `salt` are for this message alone. `None`: the message is too long.
pub(crate) fn encrypt(
    message: &[u8],
    to: &Recipient,
    key: &SecretKey,
    salt: [u8; 16],
) -> Option<Vec<u8>> {
    if message.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    let (theirs, ours) = (to.key.to_sec1_bytes(), key.public_key().to_sec1_bytes());
    let shared = key.diffie_hellman(&to.key);
    let info = [b"WebPush: info\0".as_slice(), &theirs, &ours].concat();
    let input: [u8; 32] = derived(&to.auth, shared.raw_secret_bytes(), &info);
    let content_key: [u8; 16] = derived(&salt, &input, b"Content-Encoding: aes128gcm\0");
    let nonce: [u8; 12] = derived(&salt, &input, b"Content-Encoding: nonce\0");

    let record = [message, &[LAST]].concat();
    let cipher = Aes128Gcm::new(&content_key.into());
    let sealed = cipher
        .encrypt(&Nonce::from(nonce), record.as_slice())
        .ok()?;
    let mut body = salt.to_vec();
    body.extend(RECORD_BYTES.to_be_bytes());
    body.push(u8::try_from(ours.len()).ok()?);
    body.extend(&*ours);
    body.extend(sealed);
    Some(body)
}

fn derived<const N: usize>(salt: &[u8], input: &[u8], info: &[u8]) -> [u8; N] {
    let mut output = [0; N];
    let derivation = Hkdf::<Sha256>::new(Some(salt), input);
    derivation
        .expand(info, &mut output)
        .expect("a key is far shorter than what can be derived");
    output
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).expect("base64")
    }

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn the_example_of_the_rfc_comes_out_as_it_stands_there() {
        let key = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
        let to = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        let recipient = Recipient {
            key: PublicKey::from_sec1_bytes(&decoded(to)).expect("a key"),
            auth: decoded("BTBZMqHH6r4Tts7J_aSIgg")
                .try_into()
                .expect("16 bytes"),
        };
        let body = encrypt(
            b"When I grow up, I want to be a watermelon",
            &recipient,
            &SecretKey::from_slice(&decoded(key)).expect("a key"),
            decoded("DGv6ra1nlYgDCS1FRnbzlw")
                .try_into()
                .expect("16 bytes"),
        );
        assert_eq!(
            URL_SAFE_NO_PAD.encode(body.expect("it is short")),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl\
             7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
        let long = vec![b'x'; MESSAGE_BYTES_MAX];
        let key = SecretKey::from_slice(&decoded(key)).expect("a key");
        let longest = encrypt(&long, &recipient, &key, [0; 16]).expect("it fits");
        assert_eq!(longest.len(), 4_096);
        assert!(encrypt(&[long, vec![b'x']].concat(), &recipient, &key, [0; 16]).is_none());
    }
}
