//! An HTTP proxy that lets its users through to loopback: `CONNECT` and nothing else.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// A proxy. It lives as long as the runtime of the test.
pub struct Proxy {
    /// Where it listens: an address with a port.
    pub address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// One that lets through who logs in like this, to the port that is asked for, whatever the host.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start(user: &str, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let login = STANDARD.encode(format!("{user}:{password}"));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, login.clone(), Arc::clone(&heard)));
            }
        });
        Self { address, asked }
    }

    /// The hosts with their ports to which it let somebody through.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }
}

async fn carry(mut near: TcpStream, login: String, asked: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(near.read_u8().await.ok()?);
        if head.len() > HEAD_BYTES_MAX {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let place = head.strip_prefix("CONNECT ")?.split(' ').next()?;
    if !head.contains(&format!("Proxy-Authorization: Basic {login}\r\n")) {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        near.write_all(refusal.as_bytes()).await.ok()?;
        return None;
    }
    let (_, port) = place.rsplit_once(':')?;
    let mut far = TcpStream::connect(format!("127.0.0.1:{port}")).await.ok()?;
    asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(place.to_owned());
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    copy_bidirectional(&mut near, &mut far).await.ok()?;
    Some(())
}
