//! `homeserver version`.

use super::{Failure, say};

/// Prints the version.
#[expect(
    clippy::unnecessary_wraps,
    reason = "every command answers with the same type"
)]
pub(crate) fn run() -> Result<(), Failure> {
    say(format_args!("rookery {}", env!("CARGO_PKG_VERSION")));
    Ok(())
}
