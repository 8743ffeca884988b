//! The ready file: tells scripts and tests, which let the system choose ports, where we listen.

use std::net::SocketAddr;
use std::path::Path;
use std::{fs, io};

use serde_json::json;

/// Writes `{"client":["127.0.0.1:41234"],"federation":[…],"pid":1}` to `path`, all at once: a
/// reader sees no file or a whole one.
pub(super) fn write(
    path: &Path,
    client: &[SocketAddr],
    federation: &[SocketAddr],
) -> io::Result<()> {
    let text = json!({"client": client, "federation": federation, "pid": std::process::id()});
    let draft = path.with_extension("part");
    fs::write(&draft, text.to_string())?;
    fs::rename(draft, path)
}
