//! Section `log`: what is logged, and how.

use tracing_subscriber::EnvFilter;

use super::raw::Raw;
use super::section::{Setting, section};

section! {
    /// What is logged (to standard error), and how.
    "log" Log {
        /// "text" for people, "json" (an object a line) for machines.
        format: LogFormat, default "text";

        /// What is logged: a level (error, warn, info, debug, trace), or levels by part, as in
        /// "info,storage=debug".
        filter: LogFilter, default "info,actix_server=warn,sea_orm_migration=warn";
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Setting for LogFormat {
    const EXPECTED: &'static str = r#""text" or "json""#;

    fn read(raw: &Raw) -> Option<Self> {
        match raw.text()? {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// A filter that has been parsed once, so it is a good one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// The filter to log by.
    pub(crate) fn to_env_filter(&self) -> EnvFilter {
        EnvFilter::try_new(&self.0).expect("it parsed when it was read")
    }
}

impl Setting for LogFilter {
    const EXPECTED: &'static str =
        r#"a level like "info" or levels by part like "info,storage=debug""#;

    fn read(raw: &Raw) -> Option<Self> {
        let text = raw.text()?;
        EnvFilter::try_new(text)
            .ok()
            .filter(|_| plausible(text))
            .map(|_| Self(text.to_owned()))
    }
}

/// A bare word that is no level would be taken for the name of a part: all silent but that one.
/// That is a misspelt level in practice.
fn plausible(text: &str) -> bool {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    text.split(',').map(str::trim).all(|directive| {
        directive.contains(['=', '[']) || levels.contains(&directive.to_lowercase().as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels() {
        for (text, good) in [
            ("info", true),
            ("warn,storage=debug,engine::room=trace", true),
            ("inof", false),
            ("storage=loud", false),
            ("", false),
        ] {
            assert_eq!(
                LogFilter::read(&Raw::from(text)).is_some(),
                good,
                "{text:?}"
            );
        }
    }
}
