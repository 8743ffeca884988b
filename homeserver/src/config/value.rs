//! The types that keys have: each parses what is written, and says what it expects.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use ruma::{OwnedRoomId, OwnedServerName, RoomVersionId};

use super::raw::Raw;
use super::section::Setting;

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(raw: &Raw) -> Option<Self> {
        match raw {
            Raw::Boolean(answer) => Some(*answer),
            Raw::Untyped(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// A whole number from zero up, with a roof far above every sensible value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Count(pub(crate) u32);

impl Setting for Count {
    const EXPECTED: &'static str = "a whole number from 0 to 1000000";

    fn read(raw: &Raw) -> Option<Self> {
        let number = match raw {
            Raw::Integer(number) => *number,
            Raw::Untyped(text) => text.parse().ok()?,
            _ => return None,
        };
        u32::try_from(number)
            .ok()
            .filter(|count| *count <= 1_000_000)
            .map(Self)
    }
}

/// A whole number from one up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Positive(pub(crate) u32);

impl Setting for Positive {
    const EXPECTED: &'static str = "a whole number from 1 to 1000000";

    fn read(raw: &Raw) -> Option<Self> {
        Count::read(raw)
            .filter(|count| count.0 > 0)
            .map(|count| Self(count.0))
    }
}

/// A version of the specification of rooms that this server can create.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RoomVersion(pub(crate) RoomVersionId);

impl Setting for RoomVersion {
    const EXPECTED: &'static str = r#"a room version from "1" to "12""#;

    fn read(raw: &Raw) -> Option<Self> {
        let number;
        let id = match raw {
            Raw::Integer(version) => {
                number = version.to_string();
                &number
            }
            _ => raw.text()?,
        };
        spec::room_version::RoomVersion::get(id)?;
        RoomVersionId::try_from(id).ok().map(Self)
    }
}

/// A size in bytes, written with its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Size(pub(crate) usize);

impl Setting for Size {
    const EXPECTED: &'static str = r#"a size like "50 MiB" (B, KiB, MiB or GiB)"#;

    fn read(raw: &Raw) -> Option<Self> {
        let (number, unit) = quantity(raw.text()?)?;
        let factor = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        let bytes = number.checked_mul(factor).filter(|bytes| *bytes > 0)?;
        usize::try_from(bytes).ok().map(Self)
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = r#"a time like "30 s" (ms, s, min, h or d)"#;

    fn read(raw: &Raw) -> Option<Self> {
        let (number, unit) = quantity(raw.text()?)?;
        let factor_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.checked_mul(factor_ms).map(Self::from_millis)
    }
}

/// `50 MiB` is 50 and `MiB`; the space may be left out.
fn quantity(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn read(raw: &Raw) -> Option<Self> {
        raw.text().filter(|text| !text.is_empty()).map(Self::from)
    }
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = r#"an address and port like "127.0.0.1:8008" or "[::]:8008""#;

    fn read(raw: &Raw) -> Option<Self> {
        raw.text()?.parse().ok()
    }
}

impl Setting for IpNet {
    const EXPECTED: &'static str = r#"a network like "10.0.0.0/8" or one address"#;

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?;
        text.parse()
            .ok()
            .or_else(|| Some(Self::from(text.parse::<std::net::IpAddr>().ok()?)))
    }
}

impl Setting for OwnedServerName {
    const EXPECTED: &'static str =
        r#"a server name like "example.org" (a DNS name or IP address, with a port if need be)"#;

    fn read(raw: &Raw) -> Option<Self> {
        spec::server_name::owned(raw.text()?)
    }
}

impl Setting for OwnedRoomId {
    const EXPECTED: &'static str = r#"the ID of a room like "!place:example.org""#;

    fn read(raw: &Raw) -> Option<Self> {
        raw.text()?.try_into().ok()
    }
}

/// Several of a kind: a TOML list; in the environment with commas between.
impl Setting for Vec<SocketAddr> {
    const EXPECTED: &'static str = r#"a list of addresses with ports like ["127.0.0.1:8008"]"#;

    fn read(raw: &Raw) -> Option<Self> {
        list(raw)
    }
}

impl Setting for Vec<IpNet> {
    const EXPECTED: &'static str = r#"a list of networks like ["10.0.0.0/8", "::1"]"#;

    fn read(raw: &Raw) -> Option<Self> {
        list(raw)
    }
}

impl Setting for Vec<OwnedServerName> {
    const EXPECTED: &'static str = r#"a list of server names like ["example.org"]"#;

    fn read(raw: &Raw) -> Option<Self> {
        list(raw)
    }
}

impl Setting for Vec<OwnedRoomId> {
    const EXPECTED: &'static str = r#"a list of IDs of rooms like ["!place:example.org"]"#;

    fn read(raw: &Raw) -> Option<Self> {
        list(raw)
    }
}

/// Names of servers, with `*` and `?` in the places of others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerGlob(pub(crate) String);

impl Setting for ServerGlob {
    const EXPECTED: &'static str = r#"a server name without port like "*.example.org""#;

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?.trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || ".-*?:[]".contains(c);
        (!text.is_empty() && text.chars().all(is_name)).then(|| Self(text.to_owned()))
    }
}

impl Setting for Vec<ServerGlob> {
    const EXPECTED: &'static str = r#"a list of server names without ports like ["*.example.org"]"#;

    fn read(raw: &Raw) -> Option<Self> {
        list(raw)
    }
}

impl Setting for Vec<PathBuf> {
    const EXPECTED: &'static str = r#"a list of paths like ["ca.pem"]"#;

    fn read(raw: &Raw) -> Option<Self> {
        list(raw)
    }
}

pub(super) fn list<T: Setting>(raw: &Raw) -> Option<Vec<T>> {
    match raw {
        Raw::List(items) => items.iter().map(T::read).collect(),
        Raw::Untyped(text) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| T::read(&Raw::Untyped(item.to_owned())))
            .collect(),
        _ => None,
    }
}

/// Where clients reach the server: an `http` or `https` URL without a path's trailing slash.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BaseUrl(pub(crate) String);

impl Setting for BaseUrl {
    const EXPECTED: &'static str = r#"a URL like "https://matrix.example.org""#;

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?.trim_end_matches('/');
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))?;
        let host = rest.split('/').next()?;
        let plain = !rest.contains(['?', '#', '@', '"', '\\'])
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control());
        (!host.is_empty() && plain).then(|| Self(text.to_owned()))
    }
}

impl Setting for Vec<BaseUrl> {
    const EXPECTED: &'static str = r#"a list of URLs like ["https://matrix.example.org"]"#;

    fn read(raw: &Raw) -> Option<Self> {
        list(raw)
    }
}

/// The origin of web pages, as browsers send it: `https://app.example.org`, or `*` for all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WebOrigin(pub(crate) String);

impl Setting for WebOrigin {
    const EXPECTED: &'static str = r#"an origin like "https://app.example.org", or "*""#;

    fn read(raw: &Raw) -> Option<Self> {
        if raw.text()? == "*" {
            return Some(Self("*".to_owned()));
        }
        let url = BaseUrl::read(raw)?.0;
        let (_, host) = url.split_once("://")?;
        (!host.contains('/')).then_some(Self(url))
    }
}

impl Setting for Vec<WebOrigin> {
    const EXPECTED: &'static str = r#"a list of origins like ["https://app.example.org"]"#;

    fn read(raw: &Raw) -> Option<Self> {
        list(raw)
    }
}

/// A text that must not be shown: not in logs, not in messages.
#[derive(Clone, PartialEq)]
pub(crate) struct Secret(pub(crate) String);

impl Setting for Secret {
    const EXPECTED: &'static str = "a text of at least 8 characters that is hard to guess";

    fn read(raw: &Raw) -> Option<Self> {
        raw.text()
            .filter(|text| text.chars().count() >= 8)
            .map(|text| Self(text.to_owned()))
    }

    fn shown(raw: &Raw) -> String {
        match raw.text() {
            Some(text) => format!("one of {}", text.chars().count()),
            None => "something else".to_owned(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_carry_their_units() {
        for (text, bytes) in [
            ("1 B", 1),
            ("64KiB", 65536),
            ("50 MiB", 50 << 20),
            (" 2 GiB", 2 << 30),
        ] {
            assert_eq!(Size::read(&Raw::from(text)), Some(Size(bytes)), "{text}");
        }
        for text in [
            "",
            "x",
            "50",
            "50 MB",
            "-1 B",
            "0 B",
            "99999999999999999999 B",
            "1.5 MiB",
        ] {
            assert_eq!(Size::read(&Raw::from(text)), None, "{text}");
        }
        for (text, ms) in [
            ("5 ms", 5),
            ("30s", 30_000),
            ("2 min", 120_000),
            ("7 d", 604_800_000),
        ] {
            assert_eq!(
                Duration::read(&Raw::from(text)),
                Some(Duration::from_millis(ms)),
                "{text}"
            );
        }
    }

    #[test]
    fn text_is_only_taken_for_a_number_outside_of_the_file() {
        assert_eq!(Count::read(&Raw::from("4")), None);
        assert_eq!(Count::read(&Raw::Untyped("4".to_owned())), Some(Count(4)));
        assert_eq!(bool::read(&Raw::from("true")), None);
        assert_eq!(bool::read(&Raw::Untyped("true".to_owned())), Some(true));
    }

    #[test]
    fn lists_are_toml_lists_or_have_commas() {
        let both = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        assert_eq!(
            Vec::<IpNet>::read(&Raw::from(["10.0.0.0/8", "::1"])),
            Some(both.clone())
        );
        assert_eq!(
            Vec::<IpNet>::read(&Raw::Untyped("10.0.0.0/8, ::1".to_owned())),
            Some(both)
        );
        assert_eq!(
            Vec::<IpNet>::read(&Raw::Untyped(String::new())),
            Some(Vec::new())
        );
        assert_eq!(Vec::<IpNet>::read(&Raw::from("::1")), None);
    }

    #[test]
    fn a_base_url_is_http_and_has_a_host() {
        for (text, read) in [
            (
                "https://matrix.example.org",
                Some("https://matrix.example.org"),
            ),
            ("http://localhost:8008/", Some("http://localhost:8008")),
            (
                "https://example.org/matrix",
                Some("https://example.org/matrix"),
            ),
            ("matrix.example.org", None),
            ("ftp://example.org", None),
            ("https://", None),
            ("https://a b", None),
        ] {
            assert_eq!(
                BaseUrl::read(&Raw::from(text)).map(|url| url.0).as_deref(),
                read,
                "{text}"
            );
        }
    }

    #[test]
    fn globs_of_servers_are_lists_of_names() {
        let globs = |texts: &[&str]| Some(texts.iter().map(|t| ServerGlob((*t).into())).collect());
        let read = |text: &str| Vec::<ServerGlob>::read(&Raw::Untyped(text.to_owned()));
        assert_eq!(
            read("*.a.example, b.example"),
            globs(&["*.a.example", "b.example"])
        );
        assert_eq!(read("https://a.example"), None);
    }

    #[test]
    fn a_secret_stays_one() {
        assert!(!format!("{:?}", Secret("hunter2hunter2".to_owned())).contains("hunter"));
        assert!(!Secret::shown(&Raw::from("hunter2")).contains("hunter"));
    }
}
