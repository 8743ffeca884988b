//! Names: addresses and SRV records.

use std::{collections::VecDeque, net::IpAddr, time::Duration};

use hickory_resolver::{
    TokioResolver,
    net::NetError,
    proto::rr::{RData, RecordType},
};
use spec::discovery::Srv;

/// How long one name server gets for one question.
const QUESTION_TIME: Duration = Duration::from_secs(3);

/// How often a question is asked.
const ATTEMPTS: usize = 2;

/// How many answers are remembered, for as long as each says.
const CACHED: u64 = 8_192;

/// The name servers of the system, and its hosts file.
pub(crate) struct Dns(Result<TokioResolver, NetError>);

impl Dns {
    /// As the system is configured. Where that cannot be read, every look-up says so.
    pub(crate) fn from_system() -> Self {
        Self(TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.timeout = QUESTION_TIME;
            options.attempts = ATTEMPTS;
            options.cache_size = CACHED;
            builder.build()
        }))
    }

    /// The addresses of a host, IPv6 and IPv4 in turn, so that whichever does not work here costs one attempt.
    ///
    /// # Errors
    /// The name servers do not answer, or say that they failed.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NetError> {
        match self.resolver()?.lookup_ip(absolute(host)).await {
            Ok(found) => Ok(alternating(found.iter())),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The SRV records of a name; none if there are none.
    ///
    /// # Errors
    /// The name servers do not answer, or say that they failed.
    pub(crate) async fn services(&self, name: &str) -> Result<Vec<Srv>, NetError> {
        let found = match self
            .resolver()?
            .lookup(absolute(name), RecordType::SRV)
            .await
        {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let records = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(Srv {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    target: srv.target.to_ascii(),
                }),
                _ => None,
            });
        Ok(records.collect())
    }

    fn resolver(&self) -> Result<&TokioResolver, NetError> {
        self.0.as_ref().map_err(Clone::clone)
    }
}

/// With a dot at the end: the search domains of the system are not for other people's names.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn alternating(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (mut six, mut four): (VecDeque<_>, VecDeque<_>) = addresses.partition(IpAddr::is_ipv6);
    let mut ordered = Vec::with_capacity(six.len() + four.len());
    while !six.is_empty() || !four.is_empty() {
        ordered.extend(six.pop_front());
        ordered.extend(four.pop_front());
    }
    ordered
}
