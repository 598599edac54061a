//! The syntax of environment files: that of the `dotenv` package of Node.js, strictly.

use std::{borrow::Cow, collections::BTreeMap, iter::Peekable, str::CharIndices};

use crate::{Problem, Warning};

/// One assignment of an environment file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
    /// The line of the name, counted from one.
    pub(crate) line: usize,
}

/// The assignments of `text` in their order, and every line that is not understood.
///
/// * `NAME=value`, optionally after `export`. Blank lines and lines that begin with `#` are
///   passed over. A name holds letters, digits, `_` and `.`, and does not begin with a digit.
/// * A bare value ends at the line's end or at a `#` after white space, and is trimmed.
/// * `'...'` and `` `...` `` hold their text as it is, `"..."` understands `\n`, `\r`, `\t`, `\"`
///   and `\\`. All three may span lines, and only a comment may follow on the last.
/// * `\r\n` and `\r` end a line as `\n` does, and are `\n` within quotes.
/// * `$` has no meaning anywhere: a password that holds one stays what it is.
///
/// Problems name line and column and never quote what is there, because it may hold a secret.
pub(crate) fn parse(text: &str, file: &str) -> (Vec<Assignment>, Vec<Problem>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Also within quotes, as the package does: a key of several lines is the same on Windows.
    let text = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let mut parser = Parser {
        text: &text,
        position: 0,
        line: 1,
    };
    let (mut assignments, mut problems) = (Vec::new(), Vec::new());
    while !parser.at_end() {
        match parser.assignment() {
            Ok(Some(assignment)) => assignments.push(assignment),
            Ok(None) => {}
            Err(expected) => {
                let (line, column) = (parser.line, parser.column());
                problems.push(Problem::new(format!(
                    "{file}, line {line}, column {column}: {expected}"
                )));
                parser.skip_line();
            }
        }
    }
    (assignments, problems)
}

/// Each variable once, by its name. Of two lines for one the later counts, with a warning.
pub(crate) fn once(
    assignments: Vec<Assignment>,
    file: &str,
) -> (BTreeMap<String, Assignment>, Vec<Warning>) {
    let (mut once, mut warnings) = (BTreeMap::new(), Vec::new());
    for assignment in assignments {
        let (name, line) = (assignment.name.clone(), assignment.line);
        if once.insert(name.clone(), assignment).is_some() {
            let text = format!("{file} sets {name} more than once; line {line} counts");
            warnings.push(Warning::that_explains(text));
        }
    }
    (once, warnings)
}

const EXPECTED: &str = "expected NAME=value";
const HYPHEN: &str = "expected NAME=value, where the name has _ in place of -";

struct Parser<'a> {
    text: &'a str,
    position: usize,
    line: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn at_end(&self) -> bool {
        self.position >= self.text.len()
    }

    /// Moves on by `bytes`, which end at the boundary of a character.
    fn advance(&mut self, bytes: usize) {
        self.line += self.rest()[..bytes].matches('\n').count();
        self.position += bytes;
    }

    /// How far into its line the next character is, counted from one.
    fn column(&self) -> usize {
        let before = &self.text[..self.position];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        before[start..].chars().count() + 1
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        self.advance(rest.find('\n').map_or(rest.len(), |end| end + 1));
    }

    /// The line from here on, without its end.
    fn this_line(&self) -> &'a str {
        let rest = self.rest();
        rest.find('\n').map_or(rest, |end| &rest[..end])
    }

    /// The next assignment, or nothing where a line has none.
    ///
    /// # Errors
    ///
    /// What was expected where the parser then is.
    fn assignment(&mut self) -> Result<Option<Assignment>, &'static str> {
        let line = self.line;
        let start = self.this_line().trim_start();
        if start.is_empty() || start.starts_with('#') {
            self.skip_line();
            return Ok(None);
        }
        self.advance(self.this_line().len() - start.len());
        let unexported = start
            .strip_prefix("export")
            .filter(|rest| rest.starts_with([' ', '\t']))
            .unwrap_or(start);
        let (name, value) = unexported.split_once('=').ok_or(EXPECTED)?;
        let name = name.trim();
        if !is_name(name) {
            // The names of services may have it.
            let is_hyphened = is_name(&name.replace('-', "_"));
            return Err(if is_hyphened { HYPHEN } else { EXPECTED });
        }
        let name = name.to_owned();
        let consumed = self.this_line().len() - value.len();
        self.advance(consumed);
        let value = self.value()?;
        Ok(Some(Assignment { name, value, line }))
    }

    fn value(&mut self) -> Result<String, &'static str> {
        let line = self.this_line();
        let blank = line.len() - line.trim_start().len();
        self.advance(blank);
        let Some(quote @ ('"' | '\'' | '`')) = self.rest().chars().next() else {
            let value = bare(self.this_line(), blank > 0).to_owned();
            self.skip_line();
            return Ok(value);
        };
        let (value, length) = quoted(self.rest(), quote)?;
        self.advance(length);
        let line = self.this_line();
        let after = line.trim_start();
        self.advance(line.len() - after.len());
        if !after.is_empty() && !after.starts_with('#') {
            return Err("only a comment may follow the closing quote");
        }
        self.skip_line();
        Ok(value)
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
}

/// The bare value at the beginning of `line`, which ends at a comment.
fn bare(line: &str, after_blank: bool) -> &str {
    let mut blank = after_blank;
    for (index, character) in line.char_indices() {
        if character == '#' && blank {
            return line[..index].trim();
        }
        blank = character.is_whitespace();
    }
    line.trim()
}

/// The value within the quotes that `text` begins with, and how many bytes they enclose and are.
fn quoted(text: &str, quote: char) -> Result<(String, usize), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    characters.next();
    while let Some((index, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((value, index + 1)),
            '\\' if quote == '"' => value.push(escaped(&mut characters)),
            _ => value.push(character),
        }
    }
    Err("the quote is never closed")
}

/// What stands for the backslash that was just read, and for the letter after it if it is one of
/// an escape; any other backslash is itself.
fn escaped(characters: &mut Peekable<CharIndices<'_>>) -> char {
    let meaning = match characters.peek() {
        Some((_, 'n')) => '\n',
        Some((_, 'r')) => '\r',
        Some((_, 't')) => '\t',
        Some((_, '"')) => '"',
        Some((_, '\\')) => '\\',
        _ => return '\\',
    };
    characters.next();
    meaning
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn value(text: &str) -> String {
        let (mut assignments, problems) = parse(text, ".env");
        assert_eq!((assignments.len(), &problems[..]), (1, &[][..]), "{text:?}");
        assignments.remove(0).value
    }

    #[test]
    fn values_bare_and_quoted() {
        for (text, expected) in [
            ("A=1", "1"),
            ("A = 1 ", "1"),
            ("  export A=1", "1"),
            ("export\tA=1", "1"),
            ("\u{feff}A=1\r\n", "1"),
            ("A=", ""),
            ("A= # nothing", ""),
            ("A=#f00", "#f00"),
            ("A=a#b # c", "a#b"),
            ("A=a b", "a b"),
            ("A=x=y=", "x=y="),
            ("A=$HOME/${X}\\n", "$HOME/${X}\\n"),
            ("A='a # b\\n'", "a # b\\n"),
            ("A=\"a # b\\n\\t\\r\\\"\\\\\\x\" # c", "a # b\n\t\r\"\\\\x"),
            ("A=`it's \"it\"`", "it's \"it\""),
            ("A='two\nlines'", "two\nlines"),
            ("A=\"two\r\nlines\"\r\n", "two\nlines"),
            ("A=`two\rlines`\r", "two\nlines"),
            ("# old\rA=1\r", "1"),
            ("A=it's", "it's"),
            ("A.b_1=1", "1"),
        ] {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted_through_quotes_and_comments() {
        let text = "# one\n\nA='3\n4'\n B=2\n";
        for end in ["\n", "\r\n", "\r"] {
            let (assignments, problems) = parse(&text.replace('\n', end), ".env");
            assert_eq!(problems, [], "{end:?}");
            let lines: Vec<_> = assignments.iter().map(|a| a.line).collect();
            assert_eq!(lines, [3, 5], "{end:?}");
        }
    }

    #[test]
    fn a_name_with_hyphens_is_told_how_to_be_written() {
        for (text, expected) in [
            ("MCP_SERVICE_MY-SERVICE_TOKEN=hunter2", HYPHEN),
            ("export A-B=1", HYPHEN),
            ("hun-ter2", EXPECTED),
            ("1-A=1", EXPECTED),
            ("A-B C=1", EXPECTED),
        ] {
            let (_, problems) = parse(text, ".env");
            let expected = format!(".env, line 1, column 1: {expected}");
            assert_eq!(problems[0].to_string(), expected, "{text}");
        }
    }

    #[test]
    fn every_bad_line_is_named_and_none_is_quoted() {
        let text = "hunter2\nA=1\n1A=hunter2\n  =hunter2\nA B=hunter2\nA='x' hunter2\n\
                    Ä=1\nA='ä\nä' hunter2\n B= \"hunter2\n";
        let (_, problems) = parse(text, "the.env");
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "the.env, line 1, column 1: expected NAME=value",
                "the.env, line 3, column 1: expected NAME=value",
                "the.env, line 4, column 3: expected NAME=value",
                "the.env, line 5, column 1: expected NAME=value",
                "the.env, line 6, column 7: only a comment may follow the closing quote",
                "the.env, line 7, column 1: expected NAME=value",
                "the.env, line 9, column 4: only a comment may follow the closing quote",
                "the.env, line 10, column 5: the quote is never closed",
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in any::<String>(), tail in "[A-Z\"'`\\\\\n\r #=a-z]{0,60}") {
            let _ = parse(&text, ".env");
            let _ = parse(&tail, ".env");
        }

        #[test]
        fn a_double_quoted_value_comes_back(value in any::<String>()) {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\r', "\\r");
            let (parsed, problems) = parse(&format!("A=\"{escaped}\""), ".env");
            prop_assert_eq!(problems, []);
            prop_assert_eq!(&parsed[0].value, &value);
        }
    }
}
