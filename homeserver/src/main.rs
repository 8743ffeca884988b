//! `homeserver`: Rookery's one binary. Configuration, wiring, listeners, command line.

mod app;
mod cli;
mod clock;
mod config;
mod control;
mod http;
mod shutdown;
mod smtp;
mod supervise;
mod telemetry;
mod tls;
mod web;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// Gives memory back to the system. The C library's allocator keeps, for each thread that ever hashed a password, the
/// 19 MiB that this took: hundreds of MiB after a busy morning. Huge pages are off (a feature of the crate): with them all of
/// what waiting clients have reserved would be resident, a sixth more for each.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
