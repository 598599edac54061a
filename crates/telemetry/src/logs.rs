//! Log lines on standard error.

use std::io::IsTerminal;

use thiserror::Error;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

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
    /// A part of the filter stands alone and is no level.
    #[error("{0:?} is no log level: error, warn, info, debug, trace or off")]
    Level(String),
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
    let colour = colour && std::io::stderr().is_terminal();
    subscriber(filter, format, colour, std::io::stderr)?
        .try_init()
        .map_err(|_| InvalidLogs::Started)
}

/// What [`init`] installs, writing somewhere else: for a test, or a process that adds layers.
///
/// # Errors
///
/// When the filter is not one.
pub fn subscriber<W>(
    filter: &str,
    format: Format,
    colour: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, InvalidLogs>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    // Boxed because the two forms are different types; a line is written either way.
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Text => Box::new(lines.with_ansi(colour)),
        Format::Json => Box::new(lines.json().flatten_event(true).with_current_span(false)),
    };
    Ok(tracing_subscriber::registry().with(lines.with_filter(parse(filter)?)))
}

/// Whether [`init`] takes a text for a filter.
///
/// # Errors
///
/// When it does not.
pub fn check(filter: &str) -> Result<(), InvalidLogs> {
    parse(filter).map(drop)
}

/// The filter that a text describes.
///
/// `EnvFilter` takes any single word for the name of a module, and a misspelt level then turns
/// all logs off. A word alone has to be a level here.
fn parse(filter: &str) -> Result<EnvFilter, InvalidLogs> {
    // Fields of spans may hold commas and blanks of their own.
    if filter.contains(['[', '{']) {
        return Ok(EnvFilter::try_new(filter)?);
    }
    let parts: Vec<_> = filter.split(',').map(str::trim).collect();
    for part in &parts {
        let is_level = !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        if !is_level && !part.contains('=') {
            return Err(InvalidLogs::Level((*part).to_owned()));
        }
    }
    Ok(EnvFilter::try_new(parts.join(","))?)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    /// Collects what is written.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(filter: &str, format: Format, colour: bool) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(filter, format, colour, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("call", service = "s").entered();
            tracing::info!(instance = "a\nb", "circuit breaker opened");
            tracing::debug!("not at this level");
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_has_colour_only_where_it_may() {
        let text = lines("info", Format::Text, false);
        assert!(text.contains("circuit breaker opened"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(lines("info", Format::Text, true).contains('\u{1b}'));
    }

    #[test]
    fn json_is_one_object_a_line() {
        let json = lines("info", Format::Json, true);
        assert_eq!(json.lines().count(), 1, "{json}");
        assert!(json.starts_with('{') && json.ends_with("}\n"), "{json}");
        for part in [
            r#""level":"INFO""#,
            r#""message":"circuit breaker opened""#,
            r#""instance":"a\nb""#,
            r#""spans":[{"service":"s","name":"call"}]"#,
        ] {
            assert!(json.contains(part), "{part}\n{json}");
        }
    }

    #[test]
    fn a_level_may_be_in_capitals_and_off() {
        assert_eq!(lines("DEBUG", Format::Text, false).lines().count(), 2);
        assert_eq!(lines("off", Format::Text, false), "");
        assert_eq!(
            lines("error,bartizan_telemetry=info", Format::Text, false)
                .lines()
                .count(),
            1
        );
        assert_eq!(
            lines("info, tower=off", Format::Text, false)
                .lines()
                .count(),
            1
        );
    }

    #[test]
    fn nonsense_is_no_filter() {
        for filter in ["verbose", "warning", "info,verbose", "", "info,,debug"] {
            assert!(
                matches!(parse(filter), Err(InvalidLogs::Level(_))),
                "{filter}"
            );
        }
        for filter in ["a=b=c", "a=loud", "info,[x]=loud"] {
            assert!(
                matches!(check(filter), Err(InvalidLogs::Filter(_))),
                "{filter}"
            );
        }
        assert!(parse("info,bartizan_gateway[call{service=s}]=debug").is_ok());
    }
}
