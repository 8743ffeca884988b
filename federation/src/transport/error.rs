//! Why there is no answer.

use std::{io, net::IpAddr, time::Duration};

use hickory_resolver::net::NetError;
use spec::discovery::Place;

use super::Way;

/// Why a proxy gave no connection, in its library's words.
pub(super) type ProxyError = Box<dyn std::error::Error + Send + Sync>;

/// Why a server gave no answer. Only the causes tell more than an operator's log should.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The name servers failed.
    #[error("the address of {host} cannot be looked up")]
    Lookup {
        /// Whose address.
        host: String,
        /// What they say.
        source: NetError,
    },
    /// There is no such host, or it has no address.
    #[error("there is no address for {0}")]
    NoAddress(String),
    /// All its addresses are in networks that this server must not connect to.
    #[error("{address} is not a public address, and federation.allow_addresses does not name it")]
    Forbidden {
        /// One of them.
        address: IpAddr,
    },
    /// Nobody answers there.
    #[error("{way} accepts no connection")]
    Connect {
        /// Where.
        way: Way,
        /// Why.
        source: io::Error,
    },
    /// The proxy of this server gives no connection.
    #[error("federation.proxy gives no connection to {place}")]
    Proxy {
        /// Where to.
        place: Place,
        /// Why.
        source: ProxyError,
    },
    /// Whoever answers there cannot prove to be who it should be.
    #[error("{way} does not prove to be {name}")]
    Tls {
        /// Where.
        way: Way,
        /// Whose certificate was expected.
        name: String,
        /// What is wrong.
        source: io::Error,
    },
    /// It does not speak HTTP, or broke off.
    #[error("the connection broke off")]
    Http(#[from] hyper::Error),
    /// It took too long.
    #[error("there was no whole answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The answer was too large.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}
