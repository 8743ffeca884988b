//! From the settings file to the small struct that each crate asks for.

use std::time::Duration;

use engine::buckets::Bucket;

use federation::keys::OwnKeys;
use ruma::UserId;

use crate::config::{
    Config, ProfileField, Profiles, ProxyUrl, Rate, RegistrationMode, Retention, ServerGlob, Voip,
};
use crate::tls;

pub(super) fn storage(config: &Config) -> storage::Settings {
    let mut settings = storage::Settings::new(config.database_url().expose());
    settings.readers = config.database.readers.0;
    settings
}

pub(super) fn accounts(config: &Config) -> engine::account::Settings {
    let mut settings = engine::account::Settings::new(config.server.name.clone());
    settings.registration = match config.registration.mode {
        RegistrationMode::Closed => engine::account::Registration::Closed,
        RegistrationMode::Token => engine::account::Registration::Token,
        RegistrationMode::Open => engine::account::Registration::Open,
    };
    settings.guests = config.registration.guests;
    settings.profiles = profiles(&config.profiles);
    settings.registration_shared_secret = config
        .registration
        .shared_secret
        .as_ref()
        .map(|secret| secret.0.as_str().into());
    settings
}

fn profiles(config: &Profiles) -> engine::ProfileSettings {
    let names = |fields: &[ProfileField]| fields.iter().map(|field| field.0.clone()).collect();
    engine::ProfileSettings {
        enabled: config.changes,
        allowed: config.allowed_fields.as_deref().map(names),
        disallowed: names(&config.fixed_fields),
    }
}

pub(super) fn engine(config: &Config, keys: &OwnKeys) -> engine::Settings {
    let mut settings = engine::Settings::new(config.server.name.clone());
    settings.former_keys = keys.former();
    settings.default_room_version = config.server.default_room_version.0.clone();
    settings.accounts = accounts(config);
    settings.identity_servers = globs(&config.identity.servers);
    settings.plain_push_gateways = config.federation.plain_push_gateways;
    settings.policy_lists = config.policy_lists.rooms.clone();
    settings.presence = engine::PresenceSettings {
        enabled: config.presence.enabled,
        to_other_servers: config.presence.to_other_servers,
        from_other_servers: config.presence.from_other_servers,
        quiet_rooms: config.presence.quiet_rooms.clone(),
    };
    settings.retention = retention(&config.retention);
    settings.notices = notices(config);
    settings.accounts.reserved = settings
        .notices
        .as_ref()
        .map(|notices| notices.user_id.clone());
    settings
}

pub(super) fn client_api(config: &Config) -> client_api::Settings {
    let limits = &config.limits;
    let rates = client_api::RateLimits {
        sends: bucket(limits.sends),
        requests: bucket(limits.requests),
        anonymous: bucket(limits.anonymous),
        logins: bucket(limits.logins),
    };
    client_api::Settings {
        body_bytes_max: limits.max_body.0,
        public_body_bytes_max: limits.max_public_body.0,
        token_in_query: config.compatibility.token_in_query,
        rate_limits: limits.rate_limits.then_some(rates),
        socket_origins: config
            .client
            .socket_origins
            .iter()
            .map(|o| o.0.clone())
            .collect(),
        turn: turn(&config.voip),
        livekit_urls: livekit_urls(config),
        sync_timeout_ms_max: u64::try_from(limits.max_sync_wait.as_millis()).unwrap_or(u64::MAX),
    }
}

/// What leads to LiveKit servers.
pub(crate) fn livekit_urls(config: &Config) -> Vec<String> {
    let urls = config.voip.livekit_urls.iter();
    urls.map(|url| url.0.clone()).collect()
}

/// Nothing where no server is named; that one can be opened was checked.
fn turn(voip: &Voip) -> Option<client_api::Turn> {
    let access = match (
        &voip.turn_shared_secret,
        &voip.turn_username,
        &voip.turn_password,
    ) {
        (Some(secret), ..) => client_api::TurnAccess::Shared {
            secret: secret.0.clone(),
        },
        (None, Some(name), Some(password)) => client_api::TurnAccess::Fixed {
            username: name.0.clone(),
            password: password.0.clone(),
        },
        _ => return None,
    };
    (!voip.turn_uris.is_empty()).then(|| client_api::Turn {
        uris: voip.turn_uris.iter().map(|uri| uri.0.clone()).collect(),
        lifetime_s: voip.turn_lifetime.as_secs(),
        for_guests: voip.turn_for_guests,
        access,
    })
}

/// # Errors
/// A file of certificate authorities that cannot be used.
pub(crate) fn federation(config: &Config) -> Result<federation::Settings, tls::Error> {
    let section = &config.federation;
    let trusted_authorities = tls::authorities(&section.trusted_ca)?;
    Ok(federation::Settings {
        key_validity_ms: milliseconds(section.key_validity.0),
        allow_addresses: section.allow_addresses.clone(),
        plain_push_gateways: section.plain_push_gateways,
        proxy: section.proxy.as_ref().and_then(ProxyUrl::proxy),
        trusted_authorities,
        notaries: section.key_notaries.clone(),
        servers: federation::Servers::new(
            &globs(&section.allow_servers),
            &globs(&section.deny_servers),
        ),
        catch_up_max: section.catch_up_max.0,
        rate_limit: config
            .limits
            .rate_limits
            .then(|| bucket(config.limits.servers)),
    })
}

pub(super) fn mail(config: &Config) -> engine::MailSettings {
    let email = &config.email;
    let named = email.public_url.as_ref();
    let named = named.or(config.discovery.client_url.as_ref());
    engine::MailSettings {
        public_url: match named {
            Some(url) => url.0.clone(),
            None => format!("https://{}", config.server.name),
        },
        room_url: email.room_url.0.clone(),
        delay_ms: milliseconds(email.delay),
    }
}

fn globs(globs: &[ServerGlob]) -> Vec<String> {
    globs.iter().map(|glob| glob.0.clone()).collect()
}

fn bucket(rate: Rate) -> Bucket {
    Bucket {
        per_second: rate.per_second,
        burst: rate.burst,
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn retention(config: &Retention) -> engine::RetentionSettings {
    let ms = |time: Option<Duration>| {
        time.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    };
    engine::RetentionSettings {
        messages: config.messages,
        default_ms: ms(config.default),
        min_ms: ms(config.min),
        max_ms: ms(config.max),
        forgotten_rooms_ms: ms(config.forgotten_rooms),
    }
}

fn notices(config: &Config) -> Option<engine::NoticeSettings> {
    let notices = &config.server_notices;
    let localpart = &notices.user.as_ref()?.0;
    let user_id = UserId::parse_with_server_name(localpart.as_str(), &config.server.name).ok()?;
    Some(engine::NoticeSettings {
        user_id,
        displayname: notices.display_name.0.clone(),
        avatar_url: notices.avatar_url.as_ref().map(|uri| uri.0.clone()),
        room_name: notices.room_name.0.clone(),
    })
}
