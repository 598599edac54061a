use std::{collections::HashSet, ops::RangeInclusive};

use bartizan_document::{Member, Node, Place, Value};

use super::InvalidRegistry;
use crate::Remark;

/// Takes typed values out of a file and gathers all that is wrong with them, so that whoever
/// repairs the file learns everything at once.
#[derive(Default)]
pub(crate) struct Reader {
    problems: Vec<Remark>,
    warnings: Vec<Remark>,
    warned: HashSet<String>,
}

impl Reader {
    /// More kinds of warnings than this are not kept.
    const WARNINGS: usize = 64;

    pub(crate) fn problem(&mut self, place: Place, text: impl Into<String>) {
        self.problems.push(remark(place, text));
    }

    /// Warns, unless the same was said of an earlier place.
    pub(crate) fn warn(&mut self, place: Place, text: impl Into<String>) {
        let text = text.into();
        if self.warned.len() < Self::WARNINGS && self.warned.insert(text.clone()) {
            self.warnings.push(remark(place, text));
        }
    }

    /// A field that nothing here knows: it is kept, and someone should look at its spelling.
    pub(crate) fn unknown(&mut self, member: &Member<'_>, of: &str) {
        let key = &member.key;
        let text = format!("unknown field `{key}` of {of} is kept and not used");
        self.warn(member.place, text);
    }

    /// The members of a map, none of which may be there twice.
    pub(crate) fn members<'n, 'a>(
        &mut self,
        node: &'n Node<'a>,
        what: &str,
    ) -> Option<&'n [Member<'a>]> {
        let Some(members) = node.members() else {
            self.problem(
                node.place,
                format!("{what} must be a mapping of names to values"),
            );
            return None;
        };
        // Nearly all are short, and comparing a few keys is cheaper than hashing them.
        let mut long = (members.len() > 16).then(HashSet::new);
        for (index, member) in members.iter().enumerate() {
            let again = match &mut long {
                Some(seen) => !seen.insert(&*member.key),
                None => members[..index].iter().any(|other| other.key == member.key),
            };
            if again {
                let key = &member.key;
                self.problem(member.place, format!("`{key}` of {what} is given twice"));
            }
        }
        Some(members)
    }

    pub(crate) fn list<'n, 'a>(
        &mut self,
        node: &'n Node<'a>,
        what: &str,
    ) -> Option<&'n [Node<'a>]> {
        let list = node.list();
        if list.is_none() {
            self.problem(node.place, format!("{what} must be a list"));
        }
        list
    }

    /// A text that is not empty.
    pub(crate) fn text<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) if !text.is_empty() => Some(text),
            Value::Text(_) => {
                self.problem(node.place, format!("{what} must not be empty"));
                None
            }
            _ => {
                self.problem(
                    node.place,
                    format!("{what} must be a text, in quotes if need be"),
                );
                None
            }
        }
    }

    /// A whole number, which may stand in quotes.
    pub(crate) fn number(
        &mut self,
        node: &Node<'_>,
        what: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = match &node.value {
            Value::Number(text) | Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            let text = format!("{what} must be a whole number from {least} to {most}");
            self.problem(node.place, text);
        }
        number
    }

    /// A number that is brought into its range with a warning: what else reads the file takes
    /// it as it is, so it is no reason to refuse all the rest.
    pub(crate) fn clamped(
        &mut self,
        node: &Node<'_>,
        what: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = self.number(node, what, 0..=u32::MAX)?;
        let clamped = number.clamp(*range.start(), *range.end());
        if clamped != number {
            let (least, most) = (range.start(), range.end());
            let text = format!("{what} is {number}, not from {least} to {most}; using {clamped}");
            self.warn(node.place, text);
        }
        Some(clamped)
    }

    /// What was read, if nothing was wrong with it, and what was odd about it.
    pub(crate) fn finish<T>(self, value: T) -> Result<(T, Vec<Remark>), InvalidRegistry> {
        if self.problems.is_empty() {
            Ok((value, self.warnings))
        } else {
            Err(InvalidRegistry::new(self.problems))
        }
    }
}

fn remark(Place { line, column }: Place, text: impl Into<String>) -> Remark {
    Remark {
        line,
        column,
        text: text.into(),
    }
}
