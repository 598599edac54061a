use std::{error::Error, fmt};

use crate::Warning;

/// One thing that is wrong with a configuration.
///
/// Prints as the documented message, followed in parentheses by the variable and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    message: String,
    detail: Option<String>,
    is_certain: bool,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: printable(&message.into()),
            detail: None,
            is_certain: false,
        }
    }

    /// The same of what is wrong whatever else is set.
    pub(crate) fn certain(mut self) -> Self {
        self.is_certain = true;
        self
    }

    /// Whether it is there even if not all that is set is known.
    pub(crate) fn is_certain(&self) -> bool {
        self.is_certain
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(printable(&detail.into()));
        self
    }

    /// What is wrong, in the words of the documented API where it has any.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration, at once.
///
/// Prints as a heading and one line a problem, or with `{:#}` on one line, for a log. Values of
/// secrets are never among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Errors {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty(), "a refusal has a reason");
        Self {
            problems,
            warnings: Vec::new(),
        }
    }

    /// With those of the warnings that may say why something is missing or wrong.
    pub(crate) fn beside(mut self, warnings: Vec<Warning>) -> Self {
        self.warnings
            .extend(warnings.into_iter().filter(Warning::explains));
        self
    }

    /// What is wrong with two things, in one list.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.problems.extend(other.problems);
        self.warnings.extend(other.warnings);
        self
    }

    /// The problems: those of the gateway first, then those of each service in its order.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The names that are set and mean nothing, which may be what is missing, misspelt, and the
    /// lines that do not count because a later one says the same. They are not among what this
    /// prints.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Configuration errors:")?;
        for (index, problem) in self.problems.iter().enumerate() {
            match (f.alternate(), index) {
                (false, _) => write!(f, "\n  - {problem}")?,
                (true, 0) => write!(f, " {problem}")?,
                (true, _) => write!(f, "; {problem}")?,
            }
        }
        Ok(())
    }
}

impl Error for Errors {}

impl From<Problem> for Errors {
    fn from(problem: Problem) -> Self {
        Self::new(vec![problem])
    }
}

/// `text` with its control characters escaped, so that it cannot forge a line of a log or move a
/// terminal's cursor.
///
/// For names and messages that come from files and from other machines, before they are shown.
///
/// ```
/// use bartizan_config::printable;
///
/// assert_eq!(printable("größe"), "größe");
/// assert_eq!(printable("a\n\u{1b}[2J"), r"a\n\u{1b}[2J");
/// ```
#[must_use]
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_listed_under_one_heading_or_on_one_line() {
        let errors = Errors::new(vec![
            Problem::new("Max delay must be positive").detail("MCP_RETRY_MAX_DELAY is \"0\""),
            Problem::new("At least one service must be configured"),
        ]);
        assert_eq!(
            errors.to_string(),
            "Configuration errors:\n  \
             - Max delay must be positive (MCP_RETRY_MAX_DELAY is \"0\")\n  \
             - At least one service must be configured"
        );
        assert_eq!(
            format!("{errors:#}"),
            "Configuration errors: Max delay must be positive (MCP_RETRY_MAX_DELAY is \"0\"); \
             At least one service must be configured"
        );
    }

    #[test]
    fn no_value_can_forge_a_line() {
        let problem = Problem::new("a\n  - b").detail("\u{1b}[2J");
        assert_eq!(problem.to_string(), "a\\n  - b (\\u{1b}[2J)");
    }
}
