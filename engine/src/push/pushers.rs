//! Pushers: where users want to be told of what notifies them. Client-server API, "Push Notifications".

use serde_json::{Map, Value};
use storage::{Plain, Write, pushers};
use url::Url;

use super::{kind::PusherKind, web};
use crate::{Engine, Error, Requester, Result};

/// The path of all gateways: push gateway API.
const PATH: &str = "/_matrix/push/v1/notify";
/// The longest name of an app, in bytes: client-server API, `POST /pushers/set`.
const APP_ID_BYTES_MAX: usize = 64;
/// The longest key, in bytes: the same.
const PUSHKEY_BYTES_MAX: usize = 512;
/// The longest other text, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// How much a gateway may be told besides, in bytes.
const DATA_BYTES_MAX: usize = 8 * 1_024;
/// How many pushers a user may have: each is told of every notification.
const PUSHERS_MAX: usize = 100;

/// Where a user is told: a gateway and what it calls a device, an e-mail address, or a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pusher {
    /// In which way.
    pub kind: PusherKind,
    /// The app.
    pub app_id: String,
    /// How the gateway calls the device; the e-mail address; the public key of the browser.
    pub pushkey: String,
    /// For people.
    pub app_display_name: String,
    /// For people.
    pub device_display_name: String,
    /// Which rules of the device it obeys.
    pub profile_tag: Option<String>,
    /// The language of the user.
    pub lang: String,
    /// Of a gateway `url` and `format`, and what else it is to be told; of a browser what `spec/api/extensions/web-push.yaml`
    /// says.
    pub data: Map<String, Value>,
}

impl Engine {
    /// The pushers of the user, by app and key.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn pushers(&self, by: &Requester) -> Result<Vec<Pusher>> {
        let stored = pushers::of_user(self.context.store.reader(), &by.user_id).await?;
        let pusher = |stored: pushers::Pusher| {
            let data = serde_json::from_str(&stored.data)
                .map_err(|error| Error::Internal(format!("a stored pusher: {error}")))?;
            let kind = PusherKind::named(&stored.kind);
            Ok(Pusher {
                kind: kind
                    .ok_or_else(|| Error::Internal("a stored pusher has no kind".to_owned()))?,
                app_id: stored.app_id,
                pushkey: stored.pushkey,
                app_display_name: stored.app_display_name,
                device_display_name: stored.device_display_name,
                profile_tag: stored.profile_tag,
                lang: stored.lang,
                data,
            })
        };
        stored.into_iter().map(pusher).collect()
    }

    /// Adds a pusher of the requester's session, or replaces the one of the same app and key. Unless it is to be added
    /// beside them, those of other users with the same app and key are gone: the device has changed hands.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: it leads nowhere, is too long, or this server does not tell anybody in this way.
    /// [`Error::EmailNotFound`]: the address is not the user's. [`Error::TooLarge`]: there are too many.
    pub async fn set_pusher(&self, by: &Requester, pusher: Pusher, append: bool) -> Result<()> {
        check(&pusher, self.context.deliveries.schemes())?;
        if pusher.kind == PusherKind::Email {
            self.check_email(by, &pusher.pushkey).await?;
        }
        let store = &self.context.store;
        let existing = pushers::of_user(store.reader(), &by.user_id).await?;
        let same =
            |old: &pushers::Pusher| old.app_id == pusher.app_id && old.pushkey == pusher.pushkey;
        let earlier = existing.iter().find(|old| same(old));
        if earlier.is_none() && existing.len() >= PUSHERS_MAX {
            return Err(Error::TooLarge(format!(
                "There may be {PUSHERS_MAX} pushers"
            )));
        }
        let mut plain = Vec::new();
        if !append {
            plain.push(Plain::PushersTaken {
                app_id: pusher.app_id.clone(),
                pushkey: pusher.pushkey.clone(),
                by: by.user_id.clone(),
            });
        }
        plain.push(Plain::Pusher(Box::new(pushers::Pusher {
            user_id: by.user_id.to_string(),
            kind: pusher.kind.name().to_owned(),
            mailed: earlier.and_then(|old| old.mailed.clone()),
            device_id: by.device().to_owned(),
            data: Value::Object(pusher.data).to_string(),
            created_ts: self.context.clock.now_ms(),
            done: earlier.map_or_else(|| self.context.notifier.position(), |old| old.done),
            badge: earlier.map_or(0, |old| old.badge),
            failures: 0,
            failing_ts: 0,
            retry_ts: 0,
            app_id: pusher.app_id,
            pushkey: pusher.pushkey,
            app_display_name: pusher.app_display_name,
            device_display_name: pusher.device_display_name,
            profile_tag: pusher.profile_tag,
            lang: pusher.lang,
        })));
        store.write(Write::plain(plain)).await?;
        self.context.deliveries.wake([by.user_id.clone()]);
        Ok(())
    }

    async fn check_email(&self, by: &Requester, address: &str) -> Result<()> {
        if self.context.deliveries.post.get().is_none() {
            return Err(Error::InvalidParam(
                "This server sends no e-mail".to_owned(),
            ));
        }
        match self.accounts().has_email(&by.user_id, address).await? {
            true => Ok(()),
            false => Err(Error::EmailNotFound),
        }
    }

    /// Deletes a pusher of the user. It is not missed if it is not there.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn delete_pusher(&self, by: &Requester, app_id: &str, pushkey: &str) -> Result<()> {
        let delete = Plain::PusherDelete {
            user_id: by.user_id.clone(),
            app_id: app_id.to_owned(),
            pushkey: pushkey.to_owned(),
        };
        self.context.store.write(Write::plain(vec![delete])).await?;
        Ok(())
    }
}

fn check(pusher: &Pusher, schemes: &[&str]) -> Result<()> {
    let invalid = |sentence: String| Err(Error::InvalidParam(sentence));
    let texts = [
        &pusher.app_display_name,
        &pusher.device_display_name,
        &pusher.lang,
    ];
    let texts = texts.into_iter().chain(&pusher.profile_tag);
    if pusher.app_id.is_empty() || pusher.app_id.len() > APP_ID_BYTES_MAX {
        return invalid(format!("An app_id has 1 to {APP_ID_BYTES_MAX} bytes"));
    }
    if pusher.pushkey.is_empty() || pusher.pushkey.len() > PUSHKEY_BYTES_MAX {
        return invalid(format!("A pushkey has 1 to {PUSHKEY_BYTES_MAX} bytes"));
    }
    if texts.into_iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return invalid(format!("Names may have {TEXT_BYTES_MAX} bytes"));
    }
    let data = Value::Object(pusher.data.clone()).to_string();
    if data.len() > DATA_BYTES_MAX {
        return invalid(format!("\"data\" may have {DATA_BYTES_MAX} bytes"));
    }
    match pusher.kind {
        PusherKind::Http if !leads_to_gateway(&pusher.data, schemes) => invalid(format!(
            "The url of a push gateway begins with https:// and its path is {PATH}"
        )),
        PusherKind::Web if !web::leads_somewhere(&pusher.pushkey, &pusher.data) => invalid(
            "A browser is told by its p256dh as pushkey, and by its url, which begins with https://, and its auth in data"
                .to_owned(),
        ),
        PusherKind::Http | PusherKind::Web | PusherKind::Email => Ok(()),
    }
}

fn leads_to_gateway(data: &Map<String, Value>, schemes: &[&str]) -> bool {
    let url = data.get("url").and_then(Value::as_str);
    let url = url.and_then(|url| Url::parse(url).ok());
    url.is_some_and(|url| schemes.contains(&url.scheme()) && url.has_host() && url.path() == PATH)
}
