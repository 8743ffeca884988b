//! A mail server on a script: it takes e-mails over SMTP, in the clear or encrypted, and keeps them; or refuses as it is told.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// An e-mail that was taken.
#[derive(Clone, Debug)]
pub struct Letter {
    /// To whom, as the envelope says.
    pub to: String,
    /// Headers and body, as they came.
    pub data: String,
    /// Whether nobody on the way could read it.
    pub encrypted: bool,
}

/// How a mail server keeps connections private.
#[derive(Clone)]
pub enum Privacy {
    /// Not at all.
    None,
    /// From the beginning.
    Tls(TlsAcceptor),
    /// When the client asks for it.
    StartTls(TlsAcceptor),
}

impl Letter {
    /// The value of a header, with its folded lines.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    }

    /// All of it with quoted-printable undone: what was cut into lines is whole again.
    #[must_use]
    pub fn plain(&self) -> String {
        self.data
            .replace("=\r\n", "")
            .replace("=3D", "=")
            .replace("=20", " ")
    }
}

/// The server. Clones are the same.
#[derive(Clone, Default)]
pub struct MailServer {
    letters: Arc<Mutex<Vec<Letter>>>,
    /// What it says to whoever wants to send, if not that it takes it.
    refusal: Arc<Mutex<Option<String>>>,
}

impl MailServer {
    /// A server on loopback, and its `host:port`.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn start() -> (Self, String) {
        Self::start_with(Privacy::None).await
    }

    /// The same with encryption.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn start_with(privacy: Privacy) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = Self::default();
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (server, privacy) = (serving.clone(), privacy.clone());
                tokio::spawn(async move { server.serve(connection, privacy).await });
            }
        });
        (server, address)
    }

    /// Answers every sender so from now on, such as `451 later`; `None`: takes all.
    pub fn refuses(&self, refusal: Option<&str>) {
        *lock(&self.refusal) = refusal.map(str::to_owned);
    }

    /// What it has taken, in order.
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        lock(&self.letters).clone()
    }

    /// A client that goes away in the middle has sent nothing.
    async fn serve(&self, connection: TcpStream, privacy: Privacy) -> Option<()> {
        let greeting = "220 mail.example\r\n";
        let (acceptor, connection) = match privacy {
            Privacy::Tls(acceptor) => (acceptor, connection),
            Privacy::None => {
                self.converse(connection, greeting, &["mail.example"], false)
                    .await;
                return Some(());
            }
            Privacy::StartTls(acceptor) => {
                let abilities = ["mail.example", "STARTTLS"];
                let connection = self
                    .converse(connection, greeting, &abilities, false)
                    .await?;
                let encrypted = acceptor.accept(connection).await.ok()?;
                self.converse(encrypted, "", &["mail.example"], true).await;
                return Some(());
            }
        };
        let encrypted = acceptor.accept(connection).await.ok()?;
        self.converse(encrypted, greeting, &["mail.example"], true)
            .await;
        Some(())
    }

    /// Greets, and answers until the client goes, or wants to go on encrypted: then what it goes on with. `abilities` is what
    /// a client is told first.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        greeting: &str,
        abilities: &[&str],
        encrypted: bool,
    ) -> Option<S> {
        let mut stream = BufReader::new(stream);
        stream.write_all(greeting.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        let mut to = String::new();
        while let Some(line) = next_line(&mut stream).await {
            let refusal = lock(&self.refusal).clone();
            let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                "MAIL" => refusal.unwrap_or_else(|| "250 go on".to_owned()),
                "RCPT" => {
                    let address = line.split(['<', '>']).nth(1);
                    to = address.unwrap_or_default().to_owned();
                    "250 go on".to_owned()
                }
                "DATA" => {
                    says(&mut stream, "354 go on").await?;
                    let mut data = String::new();
                    while let Some(line) = next_line(&mut stream).await.filter(|l| l != ".") {
                        data.push_str(line.strip_prefix('.').unwrap_or(&line));
                        data.push_str("\r\n");
                    }
                    lock(&self.letters).push(Letter {
                        to: to.clone(),
                        data,
                        encrypted,
                    });
                    "250 taken".to_owned()
                }
                "STARTTLS" if abilities.contains(&"STARTTLS") => {
                    says(&mut stream, "220 go on").await?;
                    return Some(stream.into_inner());
                }
                "EHLO" => {
                    let (last, first) = abilities.split_last()?;
                    for ability in first {
                        says(&mut stream, &format!("250-{ability}")).await?;
                    }
                    format!("250 {last}")
                }
                "QUIT" => {
                    says(&mut stream, "221 bye").await?;
                    return None;
                }
                _ => "250 mail.example".to_owned(),
            };
            says(&mut stream, &answer).await?;
        }
        None
    }
}

/// The next line, without its end; `None` when there are no more.
async fn next_line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn says<S: AsyncWrite + Unpin>(stream: &mut S, line: &str) -> Option<()> {
    stream
        .write_all(format!("{line}\r\n").as_bytes())
        .await
        .ok()?;
    stream.flush().await.ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
