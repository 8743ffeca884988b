//! Telling browsers, by the push services of those who make them: `spec/api/extensions/web-push.yaml`.

mod encrypt;
mod vapid;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use p256::{PublicKey, SecretKey};
use serde_json::{Map, Value, json};
use storage::pushers::Pusher;
use url::Url;

use self::encrypt::{MESSAGE_BYTES_MAX, Recipient};
use super::{
    gateway::WebPush,
    payload::{self, Notification},
};
use crate::{Engine, Error, Result, context::Context};

/// How long a push service keeps a message for a browser that is away, in seconds: afterwards it finds by itself what it
/// has missed.
const KEEP_S: u64 = 24 * 3_600;

/// The longest address of a push service, in bytes. They have some 200.
const URL_BYTES_MAX: usize = 2_048;

/// How browsers and their libraries write keys: some with padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Engine {
    /// The public key of this server, in base64, with which browsers subscribe. It stays the same.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn web_push_key(&self) -> Result<String> {
        Ok(vapid::public(&self.context.web_push_key().await?))
    }
}

impl Context {
    async fn web_push_key(&self) -> Result<SecretKey> {
        let fits = |bytes: &[u8; 32]| SecretKey::from_slice(bytes).is_ok();
        let bytes = self.secrets.web_push(fits).await?;
        SecretKey::from_slice(&bytes)
            .map_err(|_| Error::Internal("the key for push services is damaged".to_owned()))
    }

    /// A notification as the push service of a pusher takes it.
    pub(super) async fn web_push(
        &self,
        pusher: &Pusher,
        notification: &Notification,
    ) -> Result<WebPush> {
        let data = payload::data(pusher)?;
        let broken = || Error::Internal("a stored pusher leads to no browser".to_owned());
        let (to, endpoint) = recipient(&pusher.pushkey, &data).ok_or_else(broken)?;
        let body = encrypt::encrypt(
            &message(&data, notification),
            &to,
            &self.passing_key(),
            self.chance.bytes(),
        );
        let contact = format!("https://{}", self.server_name);
        let key = self.web_push_key().await?;
        let now_ms = self.clock.now_ms();
        Ok(WebPush {
            authorization: vapid::authorization(&key, &endpoint, &contact, now_ms),
            url: endpoint.into(),
            keep_s: KEEP_S,
            urgency: if notification.urgent {
                "high"
            } else {
                "normal"
            },
            body: body.ok_or_else(broken)?,
        })
    }

    /// A key for one message.
    fn passing_key(&self) -> SecretKey {
        loop {
            // Nearly all bytes are one.
            if let Ok(key) = SecretKey::from_slice(&self.chance.bytes::<32>()) {
                return key;
            }
        }
    }
}

/// What the browser is told: all that a gateway would be, if it fits; otherwise only where to look.
fn message(data: &Map<String, Value>, notification: &Notification) -> Vec<u8> {
    let defaults = data.get("default_payload").and_then(Value::as_object);
    let defaults = defaults.cloned().unwrap_or_default();
    let mut whole = defaults.clone();
    whole.extend(notification.said.clone());
    if let Some(tweaks) = notification.tweaks() {
        whole.insert("tweaks".to_owned(), tweaks.clone());
    }
    let mut least = defaults;
    for key in ["event_id", "room_id", "counts", "prio"] {
        if let Some(value) = notification.said.get(key) {
            least.insert(key.to_owned(), value.clone());
        }
    }
    let fits = |message: &Vec<u8>| message.len() <= MESSAGE_BYTES_MAX;
    let messages = [whole, least].map(|message| Value::Object(message).to_string().into_bytes());
    let [whole, least] = messages;
    let smallest = || json!({ "counts": { "unread": notification.unread } }).to_string();
    Some(whole)
        .filter(fits)
        .or_else(|| Some(least).filter(fits))
        .unwrap_or_else(|| smallest().into_bytes())
}

/// Whether a browser can be reached by this key and data.
pub(super) fn leads_somewhere(pushkey: &str, data: &Map<String, Value>) -> bool {
    recipient(pushkey, data).is_some()
}

/// Whom a pusher leads to, and the address of the push service.
fn recipient(pushkey: &str, data: &Map<String, Value>) -> Option<(Recipient, Url)> {
    let text = |key: &str| data.get(key).and_then(Value::as_str);
    let auth = BASE64.decode(text("auth")?).ok()?;
    let key = BASE64.decode(pushkey).ok()?;
    let url = text("url").filter(|url| url.len() <= URL_BYTES_MAX)?;
    let url = Url::parse(url).ok()?;
    let recipient = Recipient {
        key: PublicKey::from_sec1_bytes(&key).ok()?,
        auth: auth.try_into().ok()?,
    };
    // Compressed forms are no keys of browsers, and would not be what they derive from.
    let whole = key.len() == 65;
    (whole && url.scheme() == "https" && url.has_host()).then_some((recipient, url))
}
