//! `homeserver`: Rookery's one binary. Configuration, wiring, listeners, command line.

mod app;
mod cli;
mod clock;
mod config;
mod control;
mod http;
mod shutdown;
mod supervise;
mod telemetry;
mod tls;
mod web;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
