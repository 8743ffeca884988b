//! From a server name to the place where its server answers.
//!
//! [`Resolution`] says what has to be asked next and takes the answers; asking is for others. So each rule
//! can be tested without a network. The addresses of host names are no part of it: whoever connects looks them up.
//!
//! Source: server-server API, "Resolving server names".

mod srv;

use std::{fmt, net::IpAddr};

pub use self::srv::Srv;
use crate::server_name::{self, Parts};

/// The port of a server that names none.
pub const DEFAULT_PORT: u16 = 8448;

/// Where and as whom to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which rule found it.
    pub rule: Rule,
    /// What goes into the `Host` header.
    pub authority: String,
    /// Whose certificate the server must present; also the name that TLS asks for, unless it is an address.
    pub certificate: Host,
    /// Where to connect, the first choice first. Never empty.
    pub places: Vec<Place>,
}

/// A host and a port to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub host: Host,
    pub port: u16,
}

/// A host, by its address or its name in the DNS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    Address(IpAddr),
    Name(String),
}

/// The steps of the specification that lead to a place, by their numbers there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// 1: the server name is an address.
    Literal,
    /// 2: it has a port.
    Port,
    /// 3.1: the well-known file names an address.
    DelegatedLiteral,
    /// 3.2: the well-known file names a port.
    DelegatedPort,
    /// 3.3: `_matrix-fed._tcp` of the delegated host.
    DelegatedService,
    /// 3.4: `_matrix._tcp` of the delegated host, which is deprecated.
    DelegatedOldService,
    /// 3.5: the delegated host itself.
    DelegatedHost,
    /// 4: `_matrix-fed._tcp` of the host.
    Service,
    /// 5: `_matrix._tcp` of the host, which is deprecated.
    OldService,
    /// 6: the host itself.
    Host,
}

/// What has to happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Get `https://<host>/.well-known/matrix/server` and go on with [`Resolution::well_known`].
    WellKnown {
        /// The host.
        host: String,
    },
    /// Look up the SRV records of this name and go on with [`Resolution::services`].
    Services {
        /// The whole name, without the last dot.
        name: String,
    },
    /// Nothing: here it is.
    Found(Target),
}

/// The way of one server name, as far as it has been gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution(State);

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    WellKnown { host: String },
    Services(Asked),
    Found(Target),
}

/// A host whose SRV records are being looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    host: String,
    delegated: bool,
    old_service: bool,
}

impl Resolution {
    /// The start of the way. `None` if this is no server name.
    pub fn of(server_name: &str) -> Option<Self> {
        let name = server_name::parse(server_name)?;
        let found = |rule| Self(State::Found(direct(rule, server_name, &name)));
        Some(match (&name.host, name.port) {
            (server_name::Host::V4(_) | server_name::Host::V6(_), _) => found(Rule::Literal),
            (server_name::Host::Dns(_), Some(_)) => found(Rule::Port),
            (server_name::Host::Dns(host), None) => Self(State::WellKnown {
                host: (*host).to_owned(),
            }),
        })
    }

    /// What to ask next, or the end.
    pub fn next(&self) -> Next {
        match &self.0 {
            State::WellKnown { host } => Next::WellKnown { host: host.clone() },
            State::Services(asked) => Next::Services {
                name: format!("{}.{}", asked.service(), asked.host),
            },
            State::Found(target) => Next::Found(target.clone()),
        }
    }

    /// Goes on with `m.server` of the well-known file; `None` if there is no valid one.
    ///
    /// Nothing happens if that was not asked.
    #[must_use]
    pub fn well_known(self, delegated: Option<&str>) -> Self {
        let State::WellKnown { host } = self.0 else {
            return self;
        };
        let parsed = delegated.and_then(|name| Some((name, server_name::parse(name)?)));
        let Some((text, name)) = parsed else {
            return Self(State::Services(Asked::first(host, false)));
        };
        let found = |rule| Self(State::Found(direct(rule, text, &name)));
        match (&name.host, name.port) {
            (server_name::Host::V4(_) | server_name::Host::V6(_), _) => {
                found(Rule::DelegatedLiteral)
            }
            (server_name::Host::Dns(_), Some(_)) => found(Rule::DelegatedPort),
            (server_name::Host::Dns(host), None) => {
                Self(State::Services(Asked::first((*host).to_owned(), true)))
            }
        }
    }

    /// Goes on with the SRV records that were found, in any order; none if there are none.
    ///
    /// `random(n)` gives a random number from 0 to `n`, for the choice among records of the same priority.
    /// Nothing happens if they were not asked.
    #[must_use]
    pub fn services(self, records: Vec<Srv>, random: impl FnMut(u64) -> u64) -> Self {
        let State::Services(asked) = self.0 else {
            return self;
        };
        let places: Vec<Place> = srv::in_order(records, random).collect();
        if !places.is_empty() {
            return Self(State::Found(asked.target(asked.service_rule(), places)));
        }
        if !asked.old_service {
            let old_service = true;
            return Self(State::Services(Asked {
                old_service,
                ..asked
            }));
        }
        let place = Place {
            host: Host::Name(asked.host.clone()),
            port: DEFAULT_PORT,
        };
        Self(State::Found(asked.target(asked.host_rule(), vec![place])))
    }
}

impl Asked {
    fn first(host: String, delegated: bool) -> Self {
        Self {
            host,
            delegated,
            old_service: false,
        }
    }

    fn service(&self) -> &'static str {
        if self.old_service {
            "_matrix._tcp"
        } else {
            "_matrix-fed._tcp"
        }
    }

    fn service_rule(&self) -> Rule {
        match (self.delegated, self.old_service) {
            (true, false) => Rule::DelegatedService,
            (true, true) => Rule::DelegatedOldService,
            (false, false) => Rule::Service,
            (false, true) => Rule::OldService,
        }
    }

    fn host_rule(&self) -> Rule {
        if self.delegated {
            Rule::DelegatedHost
        } else {
            Rule::Host
        }
    }

    /// The DNS is not to be believed without more: the certificate is that of the host which was asked
    /// about, wherever the records point.
    fn target(&self, rule: Rule, places: Vec<Place>) -> Target {
        Target {
            rule,
            authority: self.host.clone(),
            certificate: Host::Name(self.host.clone()),
            places,
        }
    }
}

/// The target of a name that needs nothing more: an address, or a host with a port.
fn direct(rule: Rule, text: &str, name: &Parts<'_>) -> Target {
    let host = match name.host {
        server_name::Host::V4(address) => Host::Address(address.into()),
        server_name::Host::V6(address) => Host::Address(address.into()),
        server_name::Host::Dns(host) => Host::Name(host.to_owned()),
    };
    Target {
        rule,
        authority: text.to_owned(),
        certificate: host.clone(),
        places: vec![Place {
            host,
            port: name.port.unwrap_or(DEFAULT_PORT),
        }],
    }
}

impl Rule {
    /// The number of the step in the specification.
    pub fn number(self) -> &'static str {
        match self {
            Self::Literal => "1",
            Self::Port => "2",
            Self::DelegatedLiteral => "3.1",
            Self::DelegatedPort => "3.2",
            Self::DelegatedService => "3.3",
            Self::DelegatedOldService => "3.4",
            Self::DelegatedHost => "3.5",
            Self::Service => "4",
            Self::OldService => "5",
            Self::Host => "6",
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests;
