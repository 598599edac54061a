use std::{fmt, str::FromStr};

use bartizan_protocol::edit;

/// How grave a log message is: the eight severities of RFC 5424, `Debug` the least.
///
/// The older revisions set one level for a session with `logging/setLevel`; 2026-07-28 sets one
/// for each request, in its `_meta`, and a request without it gets no log messages at all. So
/// where a server of an older revision logs for a client of the newest one, the server is asked for
/// everything, and each message is held against the level of the request it belongs to, with
/// [`LogLevel::admits_message`].
///
/// ```
/// use bartizan_transport::bridge::LogLevel;
///
/// let wanted: LogLevel = "warning".parse()?;
/// assert!(LogLevel::admits(Some(wanted), LogLevel::Error));
/// assert!(!LogLevel::admits(Some(wanted), LogLevel::Info));
/// assert!(!LogLevel::admits(None, LogLevel::Emergency));
/// # Ok::<_, bartizan_transport::bridge::UnknownLogLevel>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Detail for those who debug.
    Debug,
    /// What happens in the normal course.
    Info,
    /// Normal, but worth a glance.
    Notice,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
    /// A component failed.
    Critical,
    /// Someone must act at once.
    Alert,
    /// Nothing works.
    Emergency,
}

impl LogLevel {
    /// Every level, the least grave first.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// Whether a message of `message`'s level reaches a reader who asked for `wanted`.
    ///
    /// `None`, a request that named no level, admits nothing, as 2026-07-28 demands.
    pub fn admits(wanted: Option<Self>, message: Self) -> bool {
        wanted.is_some_and(|wanted| message >= wanted)
    }

    /// Whether a `notifications/message` reaches a reader who asked for `wanted`.
    ///
    /// One whose level cannot be read reaches every reader who asked for any.
    pub fn admits_message(wanted: Option<Self>, notification: &[u8]) -> bool {
        let level = edit::get(notification, &["params", "level"]).and_then(Self::from_json);
        Self::admits(wanted, level.unwrap_or(Self::Emergency))
    }

    /// The word that stands for this level in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// The level that a raw JSON value names, as [`Envelope::log_level`] or the `level` of
    /// `logging/setLevel` and `notifications/message` hold it; `None` if it names none.
    ///
    /// [`Envelope::log_level`]: bartizan_protocol::Envelope::log_level
    pub fn from_json(raw: &str) -> Option<Self> {
        edit::text(raw)?.parse().ok()
    }

    /// [`LogLevel::as_str`] as JSON, quotes included.
    pub(crate) fn as_json(self) -> &'static str {
        match self {
            Self::Debug => "\"debug\"",
            Self::Info => "\"info\"",
            Self::Notice => "\"notice\"",
            Self::Warning => "\"warning\"",
            Self::Error => "\"error\"",
            Self::Critical => "\"critical\"",
            Self::Alert => "\"alert\"",
            Self::Emergency => "\"emergency\"",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = UnknownLogLevel;

    fn from_str(word: &str) -> Result<Self, UnknownLogLevel> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or(UnknownLogLevel)
    }
}

/// A word that names no [`LogLevel`]: `-32602` to whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the level must be debug, info, notice, warning, error, critical, alert or emergency")]
pub struct UnknownLogLevel;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_levels_agree() {
        for level in LogLevel::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
            assert_eq!(level.as_json(), format!("\"{level}\""));
            assert_eq!(LogLevel::from_json(level.as_json()), Some(level));
        }
        assert_eq!("Debug".parse::<LogLevel>(), Err(UnknownLogLevel));
        assert_eq!(LogLevel::from_json("\"loud\""), None);
        assert_eq!(LogLevel::from_json("3"), None);
        assert!(LogLevel::ALL.is_sorted());
    }

    #[test]
    fn a_message_is_held_against_the_requests_level() {
        let message = |level: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":{level},"logger":"database","data":{{}}}}}}"#
            )
        };
        let admits = |wanted, level| LogLevel::admits_message(wanted, message(level).as_bytes());
        assert!(admits(Some(LogLevel::Error), "\"error\""));
        assert!(!admits(Some(LogLevel::Error), "\"warning\""));
        assert!(!admits(None, "\"emergency\""));
        assert!(admits(Some(LogLevel::Error), "\"loud\""));
        assert!(!admits(None, "7"));
    }
}
