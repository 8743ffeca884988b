//! Certificates and keys for the listeners, and the authorities that we trust, from PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Config;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("tls: cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: pem::Error },
    #[error("tls: there is no certificate in {}; expected a PEM file", .0.display())]
    NoCertificate(PathBuf),
    #[error("tls: the certificate in {} and the key in {} cannot be used", cert.display(), key.display())]
    Unusable {
        cert: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
}

/// The settings of a TLS listener with this certificate chain and key.
///
/// # Errors
/// A file that cannot be read or holds no PEM of its kind, a key that is not the certificate's.
pub(crate) fn server(cert: &Path, key: &Path) -> Result<ServerConfig, Error> {
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|source| Error::Unreadable {
        path: key.to_owned(),
        source,
    })?;
    let unusable = |source| Error::Unusable {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    };
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)
}

/// The settings of a listener: TLS where there are a certificate and a key (the configuration knows
/// both or none), plain where not.
///
/// # Errors
/// As for [`server`].
pub(crate) fn optional(
    cert: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> Result<Option<ServerConfig>, Error> {
    match (cert, key) {
        (Some(cert), Some(key)) => server(cert, key).map(Some),
        _ => Ok(None),
    }
}

/// The certificates in one PEM file, at least one.
///
/// # Errors
/// The file cannot be read, or holds none.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if found.is_empty() {
        Err(Error::NoCertificate(path.to_owned()))
    } else {
        Ok(found)
    }
}

/// Whether all PEM files that the configuration names can be used.
///
/// # Errors
/// The first that cannot.
pub(crate) fn check(config: &Config) -> Result<(), Error> {
    optional(&config.client.tls_cert, &config.client.tls_key)?;
    optional(
        &config.federation_listener.tls_cert,
        &config.federation_listener.tls_key,
    )?;
    authorities(&config.federation.trusted_ca)?;
    authorities(&config.email.trusted_ca).map(drop)
}

/// The certificates in all of these PEM files.
///
/// # Errors
/// The first file that cannot be used.
pub(crate) fn authorities(paths: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut found = Vec::new();
    for path in paths {
        found.extend(certificates(path)?);
    }
    Ok(found)
}
