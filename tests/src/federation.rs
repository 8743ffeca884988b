//! Servers that can reach each other: on loopback, over TLS, with a certificate that all of them trust.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

use crate::{Peer, TestServer, server::Settings, switch::Switch};

/// What a group of servers shares: the certificate of their machine. The files go when it is dropped.
pub struct Neighbourhood {
    directory: PathBuf,
}

impl Neighbourhood {
    /// A machine with a certificate for its addresses and for `localhost`.
    ///
    /// # Panics
    /// If no certificate can be made or written.
    #[must_use]
    pub fn new() -> Self {
        let directory =
            std::env::temp_dir().join(format!("rookery-fed-{:016x}", rand::random::<u64>()));
        fs::create_dir_all(&directory).expect("a directory");
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).expect("a certificate");
        fs::write(directory.join("cert.pem"), cert.pem()).expect("a file");
        fs::write(directory.join("key.pem"), signing_key.serialize_pem()).expect("a file");
        Self { directory }
    }

    /// A server of this machine; `None` where another server is under test. Its name is an address with a port.
    pub async fn server(&self) -> Option<TestServer> {
        let mut settings = Settings::open().await;
        settings.name = Self::free_name();
        settings.flags.extend(self.flags(&settings.name));
        TestServer::start_with(settings).await
    }

    /// The same with further flags of `serve`.
    pub async fn server_with(&self, flags: &[&str]) -> Option<TestServer> {
        let mut settings = Settings::open().await;
        settings.name = Self::free_name();
        settings.flags.extend(self.flags(&settings.name));
        let further = flags.iter().map(|flag| (*flag).to_owned());
        settings.flags.extend(further);
        TestServer::start_with(settings).await
    }

    /// The same with what a configuration file says.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub async fn server_configured(&self, text: &str) -> Option<TestServer> {
        let file = self.file(&format!("{:016x}.toml", rand::random::<u64>()));
        fs::write(&file, text).expect("a file");
        self.server_with(&["--config", &file]).await
    }

    /// A server that others reach through a switch: when that is cut, they cannot.
    pub async fn server_behind_switch(&self) -> Option<(TestServer, Switch)> {
        let mut settings = Settings::open().await;
        settings.name = Self::free_name();
        let hidden = Self::free_name();
        settings.flags.extend(self.flags(&hidden));
        let switch = Switch::between(&settings.name, hidden).await;
        Some((TestServer::start_with(settings).await?, switch))
    }

    /// A name for a server of this machine: an address with a port that nobody listens on.
    #[must_use]
    pub fn free_name() -> String {
        format!("127.0.0.1:{}", free_port())
    }

    /// The flags of `serve` with which a server that listens there is part of the neighbourhood.
    #[must_use]
    pub fn flags(&self, name: &str) -> Vec<String> {
        let flags = [
            ("--listen-federation", name.to_owned()),
            ("--tls-cert", self.file("cert.pem")),
            ("--tls-key", self.file("key.pem")),
            ("--trusted-ca", self.file("cert.pem")),
            ("--allow-address", "127.0.0.0/8".to_owned()),
        ];
        let pairs = flags.into_iter();
        pairs
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect()
    }

    /// A server on a script, whose certificate the servers of this machine trust.
    pub async fn peer(&self) -> Peer {
        self.peer_at("127.0.0.1").await
    }

    /// The same, called `localhost` or by an address of loopback: access lists of rooms tell servers apart by that.
    pub async fn peer_at(&self, host: &str) -> Peer {
        let (certificate, key) = (self.file("cert.pem"), self.file("key.pem"));
        Peer::start(host, Path::new(&certificate), Path::new(&key)).await
    }

    /// What accepts TLS with the certificate of the machine.
    ///
    /// # Panics
    /// If its files are gone.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        let (certificate, key) = (self.file("cert.pem"), self.file("key.pem"));
        acceptor(Path::new(&certificate), Path::new(&key))
    }

    /// A file of the machine: `cert.pem` or `key.pem`.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

impl Default for Neighbourhood {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Neighbourhood {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A port that nobody listens on: a server must know its own name, and with it its port, before it starts. It lies
/// below the ports that the system gives to connections, so that none takes it before the server does.
fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut candidates = std::iter::repeat_with(|| rand::random_range(10_000..32_000));
    candidates.find(free).expect("a free port")
}

/// What accepts TLS with a certificate, from PEM files.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate).expect("a file");
    let chain = chain.collect::<Result<_, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate and its key");
    TlsAcceptor::from(Arc::new(config))
}
