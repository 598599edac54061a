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
    /// Whether it may say why something else is missing or wrong.
    explains: bool,
    /// The variable whose name means nothing.
    unknown: Option<String>,
}

impl Warning {
    pub(crate) fn new(severity: Severity, text: impl Into<String>) -> Self {
        Self {
            severity,
            text: printable(&text.into()),
            explains: false,
            unknown: None,
        }
    }

    /// A warning that may say why something else is missing or wrong: about a name that means
    /// nothing, or a line that does not count.
    pub(crate) fn that_explains(text: impl Into<String>) -> Self {
        Self {
            explains: true,
            ..Self::new(Severity::Warning, text)
        }
    }

    /// The same, about the variable of this name, which means nothing.
    pub(crate) fn of_unknown(self, name: &str) -> Self {
        Self {
            unknown: Some(name.to_owned()),
            ..self
        }
    }

    /// The variable whose name means nothing, if it is about one.
    pub(crate) fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    pub(crate) fn explains(&self) -> bool {
        self.explains
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
