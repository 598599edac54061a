use std::{error::Error, fmt};

use bartizan_document::Malformed;

use crate::Remark;

/// A registry that cannot be used as it is.
///
/// The messages never repeat an address, a command or a variable, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRegistry {
    problems: Vec<Remark>,
    more: usize,
}

impl InvalidRegistry {
    /// More problems than this are only counted.
    const SHOWN: usize = 16;

    pub(crate) fn new(mut problems: Vec<Remark>) -> Self {
        let more = problems.len().saturating_sub(Self::SHOWN);
        problems.truncate(Self::SHOWN);
        Self { problems, more }
    }

    /// What is wrong with it, in the order of the file: at least one thing, at most 16.
    #[must_use]
    pub fn problems(&self) -> &[Remark] {
        &self.problems
    }

    /// How many more there are.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }
}

impl fmt::Display for InvalidRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        if self.more > 0 {
            write!(f, "; and {} more", self.more)?;
        }
        Ok(())
    }
}

impl Error for InvalidRegistry {}

impl From<Malformed> for InvalidRegistry {
    fn from(Malformed { place, text }: Malformed) -> Self {
        Self::new(vec![Remark {
            line: place.line,
            column: place.column,
            text,
        }])
    }
}
