//! Log lines on standard error.

use std::io::IsTerminal;

use thiserror::Error;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logging that cannot be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidLogs {
    /// The filter is neither a level nor a list of directives.
    #[error("invalid log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// This process logs already.
    #[error("logging was started before")]
    Started,
}

/// Starts logging for the whole process.
///
/// `filter` is a level (`info`) or a list of directives (`info,bartizan_gateway=debug`). Colours
/// are used for text on a terminal where `colour` allows them.
///
/// # Errors
///
/// When the filter is not one, or something in this process started logging before.
pub fn init(filter: &str, format: Format, colour: bool) -> Result<(), InvalidLogs> {
    let filter = EnvFilter::try_new(filter.to_lowercase())?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr);
    match format {
        Format::Text => {
            let colour = colour && std::io::stderr().is_terminal();
            registry.with(layer.with_ansi(colour)).try_init()
        }
        Format::Json => registry
            .with(layer.json().flatten_event(true).with_current_span(false))
            .try_init(),
    }
    .map_err(|_| InvalidLogs::Started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_filters_and_nonsense_is_not() {
        assert!(EnvFilter::try_new("info,bartizan_gateway=debug").is_ok());
        assert!(matches!(
            init("a=b=c", Format::Text, false),
            Err(InvalidLogs::Filter(_))
        ));
    }
}
