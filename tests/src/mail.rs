//! A mail server on a script: it takes e-mails over SMTP, without encryption, and keeps them; or refuses as it is told.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// An e-mail that was taken.
#[derive(Clone, Debug)]
pub struct Letter {
    /// To whom, as the envelope says.
    pub to: String,
    /// Headers and body, as they came.
    pub data: String,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = Self::default();
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let server = serving.clone();
                tokio::spawn(async move { server.serve(connection).await });
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
    async fn serve(&self, mut connection: TcpStream) -> Option<()> {
        let (read, mut write) = connection.split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 mail.example\r\n").await.ok()?;
        let mut to = String::new();
        while let Some(line) = lines.next_line().await.ok()? {
            let refusal = lock(&self.refusal).clone();
            let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                "MAIL" => refusal.unwrap_or_else(|| "250 go on".to_owned()),
                "RCPT" => {
                    let address = line.split(['<', '>']).nth(1);
                    to = address.unwrap_or_default().to_owned();
                    "250 go on".to_owned()
                }
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await.ok()?;
                    let mut data = String::new();
                    while let Some(line) = lines.next_line().await.ok()?.filter(|l| l != ".") {
                        data.push_str(line.strip_prefix('.').unwrap_or(&line));
                        data.push_str("\r\n");
                    }
                    let to = to.clone();
                    lock(&self.letters).push(Letter { to, data });
                    "250 taken".to_owned()
                }
                "QUIT" => {
                    write.write_all(b"221 bye\r\n").await.ok()?;
                    return Some(());
                }
                _ => "250 mail.example".to_owned(),
            };
            write
                .write_all(format!("{answer}\r\n").as_bytes())
                .await
                .ok()?;
        }
        Some(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
