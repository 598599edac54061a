use std::fmt;

use crate::printable;

/// How much a [`Warning`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Worth a debug line: something known and harmless was passed over.
    Note,
    /// Worth a look: what was asked for may not be what was meant.
    Warning,
}

/// Something about a valid configuration that its author may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    severity: Severity,
    text: String,
    /// Whether it is about a name that means nothing.
    is_of_a_name: bool,
}

impl Warning {
    pub(crate) fn new(severity: Severity, text: impl Into<String>) -> Self {
        Self {
            severity,
            text: printable(&text.into()),
            is_of_a_name: false,
        }
    }

    /// A warning about a name that means nothing.
    pub(crate) fn of_a_name(text: impl Into<String>) -> Self {
        Self {
            is_of_a_name: true,
            ..Self::new(Severity::Warning, text)
        }
    }

    pub(crate) fn is_of_a_name(&self) -> bool {
        self.is_of_a_name
    }

    /// How much it matters: a [`Severity::Note`] belongs at debug level.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The text, without any secret.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
