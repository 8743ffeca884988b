//! What the server says about itself: the log and the measurements.

use std::io::{IsTerminal, stderr};
use std::panic;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing::error;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Log, LogFormat};

/// Upper bounds of the classes that durations are counted in, in seconds.
const DURATION_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Starts logging to standard error, panics included.
///
/// The subscriber is the one thing of the process that is global by nature. A second call leaves
/// the first one's settings.
pub(crate) fn log(settings: &Log) {
    let lines = match settings.format {
        LogFormat::Text => fmt::layer()
            .with_writer(stderr)
            .with_ansi(stderr().is_terminal())
            .with_target(false)
            .boxed(),
        LogFormat::Json => fmt::layer()
            .with_writer(stderr)
            .json()
            .flatten_event(true)
            .boxed(),
    };
    let logging = tracing_subscriber::registry()
        .with(lines.with_filter(settings.filter.to_env_filter()))
        .try_init();
    if logging.is_ok() {
        panic::set_hook(Box::new(|info| {
            error!(
                place = info.location().map(ToString::to_string),
                "panic: {}",
                words(info)
            );
        }));
    }
}

fn words<'a>(info: &'a panic::PanicHookInfo<'_>) -> &'a str {
    info.payload_as_str().unwrap_or("(no message)")
}

/// Starts collecting measurements; the handle renders them for Prometheus.
///
/// # Errors
/// None in practice: the classes of durations are constants.
pub(crate) fn metrics() -> Result<PrometheusHandle, BuildError> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(DURATION_BUCKETS)?
        .build_recorder();
    let handle = recorder.handle();
    // Global by nature, as the log is; a second server in one process shares the first recorder.
    let _ = metrics::set_global_recorder(recorder);
    Ok(handle)
}
