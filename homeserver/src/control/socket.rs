//! The socket: one order a connection, a JSON line each way.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::account::Accounts;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tracing::warn;

use super::{Order, Outcome, carry_out};
use crate::supervise::Stop;

/// The longest line in bytes: names and passwords are far shorter.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// How long one order may take. Hashing a password takes some tens of milliseconds.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the socket of the server with this data directory is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Takes orders until the server stops. Without a socket the server runs all the same: the reason
/// is logged, and orders then wait for the server to be stopped.
pub(crate) async fn serve(path: PathBuf, accounts: Accounts, mut stop: Stop) {
    let listener = match bind(&path) {
        Ok(listener) => listener,
        Err(error) => {
            warn!(%error, path = %path.display(), "no control socket: `homeserver user` works only while the server is stopped");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.requested() => break,
        };
        let answered = match accepted {
            Ok((connection, _)) => timeout(ORDER_TIMEOUT, answer(connection, &accounts)).await,
            Err(error) => Ok(Err(error)),
        };
        match answered {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "an order on the control socket failed"),
            Err(_) => warn!("an order on the control socket took too long"),
        }
    }
    // It is in nobody's way if it stays: the next start replaces it.
    let _ = fs::remove_file(&path);
}

/// The lock on the data is ours, so a socket that is there was left behind.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // The directory keeps others out already; this holds also where the operator opened that.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn answer(mut connection: UnixStream, accounts: &Accounts) -> io::Result<()> {
    let line = read_line(&mut connection).await?;
    let outcome = match serde_json::from_str(&line) {
        Ok(order) => carry_out(accounts, order).await,
        Err(error) => Err(format!(
            "this server does not understand the order: {error}"
        )),
    };
    write_line(&mut connection, &serde_json::to_string(&outcome)?).await
}

/// Gives an order to the server whose socket is at `path`. `None`: no server listens there.
///
/// # Errors
/// The connection breaks before the answer, or the server takes too long.
pub(crate) async fn order(path: &Path, order: &Order) -> io::Result<Option<Outcome>> {
    let Ok(mut connection) = UnixStream::connect(path).await else {
        return Ok(None);
    };
    let exchange = async {
        write_line(&mut connection, &serde_json::to_string(order)?).await?;
        read_line(&mut connection).await
    };
    let line = timeout(ORDER_TIMEOUT, exchange).await??;
    Ok(Some(serde_json::from_str(&line)?))
}

async fn write_line(connection: &mut UnixStream, line: &str) -> io::Result<()> {
    connection.write_all(format!("{line}\n").as_bytes()).await
}

async fn read_line(connection: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(connection.take(LINE_BYTES_MAX))
        .read_line(&mut line)
        .await?;
    Ok(line)
}
