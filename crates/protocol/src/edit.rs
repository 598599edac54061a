//! Reading and editing of JSON text in place: what is not edited stays byte for byte.
//!
//! Paths are the names of members from the outside inwards; elements of arrays are addressed by
//! their decimal index. Where a member stands twice, the last one counts, as it does for nearly
//! every parser.
//!
//! ```
//! use bartizan_protocol::edit::{self, Edit};
//!
//! let body = br#"{"id":1, "params":{"name":"git__log", "n": 1.10}}"#;
//! assert_eq!(edit::get(body, &["params", "name"]), Some("\"git__log\""));
//!
//! let mut edit = Edit::new(body);
//! edit.set(&["params", "name"], &edit::string("log"));
//! edit.set(&["params", "_meta", "progressToken"], "7");
//! assert_eq!(
//!     edit.finish()?,
//!     r#"{"id":1, "params":{"name":"log", "n": 1.10,"_meta":{"progressToken":7}}}"#
//! );
//! # Ok::<(), bartizan_protocol::edit::EditError>(())
//! ```

mod document;
mod error;
mod plan;
mod splice;

use std::borrow::Cow;

use crate::{scan::Scanner, syntax_error::SyntaxError};

pub use document::{Edit, replace};
pub use error::EditError;

/// The raw text of the value at `path`; of the whole document if `path` is empty.
///
/// `None` if there is no such value, or the text turns out not to be JSON before its end.
#[must_use]
pub fn get<'a>(json: &'a [u8], path: &[&str]) -> Option<&'a str> {
    let mut scanner = Scanner::from_bytes(json).ok()?;
    let found = find(&mut scanner, path).ok()?;
    scanner.end().ok()?;
    found
}

fn find<'a>(scanner: &mut Scanner<'a>, path: &[&str]) -> Result<Option<&'a str>, SyntaxError> {
    let Some((name, rest)) = path.split_first() else {
        return scanner.value().map(Some);
    };
    let mut found = None;
    match scanner.peek() {
        Some(b'{') => scanner.object(|scanner, key| {
            if key.is(name) {
                found = find(scanner, rest)?;
            } else {
                scanner.value()?;
            }
            Ok::<_, SyntaxError>(())
        })?,
        Some(b'[') => {
            let (wanted, mut index) = (plan::index(name), 0);
            scanner.array(|scanner| {
                if wanted == Some(index) {
                    found = find(scanner, rest)?;
                } else {
                    scanner.value()?;
                }
                index += 1;
                Ok::<_, SyntaxError>(())
            })?;
        }
        _ => {
            scanner.value()?;
        }
    }
    Ok(found)
}

/// The raw elements of an array, in order; `None` if `json` is not an array.
#[must_use]
pub fn elements(json: &[u8]) -> Option<Vec<&str>> {
    let mut scanner = Scanner::from_bytes(json).ok()?;
    let mut elements = Vec::new();
    scanner
        .array(|scanner| {
            elements.push(scanner.value()?);
            Ok::<_, SyntaxError>(())
        })
        .ok()?;
    scanner.end().ok()?;
    Some(elements)
}

/// The decoded names and raw values of an object's members, in order; `None` if `json` is not an
/// object. A name that holds half a surrogate pair, which no text can, is given as it is written.
#[must_use]
pub fn members(json: &[u8]) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let mut scanner = Scanner::from_bytes(json).ok()?;
    let mut members = Vec::new();
    scanner
        .object(|scanner, key| {
            let name = key.decode().unwrap_or(Cow::Borrowed(key.raw));
            members.push((name, scanner.value()?));
            Ok::<_, SyntaxError>(())
        })
        .ok()?;
    scanner.end().ok()?;
    Some(members)
}

/// The JSON text of a string, with quotes.
#[must_use]
pub fn string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            control if control < ' ' => {
                json.push_str("\\u00");
                for nibble in [control as u32 >> 4, control as u32 & 15] {
                    json.extend(char::from_digit(nibble, 16));
                }
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

/// The text that a JSON string says; `None` if `raw` is not a string, or holds half a surrogate
/// pair, which no text can.
#[must_use]
pub fn text(raw: &str) -> Option<Cow<'_, str>> {
    let mut scanner = Scanner::new(raw);
    if scanner.peek() != Some(b'"') {
        return None;
    }
    let string = scanner.string().ok()?;
    scanner.end().ok()?;
    string.decode()
}

#[cfg(test)]
mod tests;
