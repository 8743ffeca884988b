//! Whose certificates are believed.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::CertificateDer;
use tracing::warn;

/// Why no certificate could be checked.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// One of federation.trusted_ca is no certificate of an authority.
    #[error("a certificate in federation.trusted_ca cannot be used")]
    Authority(#[source] rustls::Error),
    /// This build of the TLS library does not work.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// TLS as a client that believes the authorities of the system, and these besides.
pub(super) fn client_config(
    authorities: &[CertificateDer<'static>],
) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(TrustError::Authority)?;
    }
    let system = rustls_native_certs::load_native_certs();
    // Old authorities that the library cannot read are no reason not to start.
    let (usable, _) = roots.add_parsable_certificates(system.certs);
    if usable == 0 {
        warn!(
            "this system has no list of certificate authorities, so no other server can prove who it \
             is; install the package ca-certificates, or set SSL_CERT_FILE"
        );
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
