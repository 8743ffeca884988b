//! Server names, taken apart.
//!
//! Source: appendices, "Server Name".

use std::net::{Ipv4Addr, Ipv6Addr};

use ruma::{OwnedServerName, ServerName};

/// A server name in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    pub host: Host<'a>,
    /// `None` if the name has none; discovery then decides.
    pub port: Option<u16>,
}

/// Where a server name points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Dns(&'a str),
}

/// The parts of a server name.
///
/// `None` if it is none: the grammar of the appendices, with ports that exist. What looks like an IPv4
/// address but is none (`1.2.3.400`) is a DNS name by that grammar, and stays one.
pub fn parse(name: &str) -> Option<Parts<'_>> {
    let (host, port) = match name.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (Host::V6(parse_v6(address)?), port)
        }
        None => {
            let end = name.find(':').unwrap_or(name.len());
            (parse_host(&name[..end])?, &name[end..])
        }
    };
    let port = match port {
        "" => None,
        port => Some(parse_port(port.strip_prefix(':')?)?),
    };
    Some(Parts { host, port })
}

/// The name, if it is one by the grammar: ruma's own parser lets signs into ports (`a:+80`).
pub fn owned(name: &str) -> Option<OwnedServerName> {
    parse(name)?;
    ServerName::parse(name).ok()
}

fn parse_v6(address: &str) -> Option<Ipv6Addr> {
    let allowed = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    if (2..=45).contains(&address.len()) && address.bytes().all(allowed) {
        address.parse().ok()
    } else {
        None
    }
}

fn parse_host(host: &str) -> Option<Host<'_>> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if !(1..=255).contains(&host.len()) || !host.bytes().all(allowed) {
        return None;
    }
    Some(host.parse().map_or(Host::Dns(host), Host::V4))
}

fn parse_port(port: &str) -> Option<u16> {
    if (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()) {
        port.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_the_grammar_says() {
        let v6 = "1234:5678::abcd".parse().unwrap();
        for (name, host, port) in [
            ("matrix.org", Host::Dns("matrix.org"), None),
            ("matrix.org:8888", Host::Dns("matrix.org"), Some(8888)),
            ("1.2.3.4", Host::V4(Ipv4Addr::new(1, 2, 3, 4)), None),
            (
                "1.2.3.4:1234",
                Host::V4(Ipv4Addr::new(1, 2, 3, 4)),
                Some(1234),
            ),
            ("1.2.3.400", Host::Dns("1.2.3.400"), None),
            ("[1234:5678::abcd]", Host::V6(v6), None),
            ("[1234:5678::abcd]:5678", Host::V6(v6), Some(5678)),
            ("localhost:00080", Host::Dns("localhost"), Some(80)),
        ] {
            assert_eq!(parse(name), Some(Parts { host, port }), "{name}");
            assert_eq!(owned(name).unwrap(), name);
        }
        let long = "a".repeat(256);
        for name in [
            "",
            ":80",
            "a:",
            "a:b",
            "a:123456",
            "a:99999",
            "a:+80",
            "a b",
            "a_b",
            "é.example",
            "[::1",
            "[]",
            "[::1]80",
            "[1.2.3.4]",
            "[::g]",
            "::1",
            &long,
        ] {
            assert_eq!(parse(name), None, "{name}");
            assert_eq!(owned(name), None, "{name}");
        }
    }
}
