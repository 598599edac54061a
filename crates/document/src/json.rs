use std::borrow::Cow;

use jsonc_parser::{
    ParseOptions,
    ast::{ObjectPropName, Value as Ast},
    common::Ranged,
    parse_to_ast,
};

use crate::{
    Malformed, Member, Node, Place, Value,
    node::{DEPTH, too_deep},
};

/// The value that a text of JSON holds: the JSON of RFC 8259, without comments or trailing
/// commas, because what else writes such files does not know them.
///
/// # Errors
///
/// When it is not JSON, is empty, or nests values too deep.
pub fn parse_json(text: &str) -> Result<Node<'_>, Malformed> {
    let options = ParseOptions {
        allow_comments: false,
        allow_trailing_commas: false,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let mut cursor = Cursor::new(text);
    match parse_to_ast(text, &Default::default(), &options) {
        Ok(parsed) => {
            if let Some((byte, what)) = lenience(text) {
                return Err(Malformed::new(cursor.place(byte), what));
            }
            match parsed.value {
                Some(value) => convert(value, &mut cursor, 0),
                None => Err(Malformed::new(cursor.place(0), "the file is empty")),
            }
        }
        Err(error) => {
            let what = error.kind().to_string();
            let mut what = what.trim_end_matches('.').to_owned();
            if let Some(first) = what.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            Err(Malformed::new(cursor.place(error.range().start), what))
        }
    }
}

/// The first byte of a parsed text that the parser takes although JSON does not, and why.
fn lenience(text: &str) -> Option<(usize, &'static str)> {
    let (mut within, mut escaped) = (false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'"' => within = !within,
            b'\\' => escaped = within,
            0..b' ' if within => return Some((index, "control characters must be escaped")),
            b' ' | b'\t' | b'\n' | b'\r' => {}
            0..b' ' | 0x80.. if !within => {
                return Some((
                    index,
                    "only spaces, tabs and line ends may be between values",
                ));
            }
            _ => {}
        }
    }
    None
}

fn convert<'a>(ast: Ast<'a>, cursor: &mut Cursor<'a>, depth: usize) -> Result<Node<'a>, Malformed> {
    let range = ast.range();
    let place = cursor.place(range.start);
    if depth > DEPTH {
        return Err(too_deep(place));
    }
    let value = match ast {
        Ast::NullKeyword(_) => Value::Null,
        Ast::BooleanLit(it) => Value::Bool(it.value),
        Ast::NumberLit(it) => Value::Number(Cow::Borrowed(it.value)),
        Ast::StringLit(it) => Value::Text(it.value),
        Ast::Array(it) => {
            let convert = |element| convert(element, cursor, depth + 1);
            Value::List(
                it.elements
                    .into_iter()
                    .map(convert)
                    .collect::<Result<_, _>>()?,
            )
        }
        Ast::Object(it) => {
            let member = |property: jsonc_parser::ast::ObjectProp<'a>| {
                Ok(Member {
                    place: cursor.place(property.range.start),
                    range: property.range.start..property.range.end,
                    key: match property.name {
                        ObjectPropName::String(name) => name.value,
                        ObjectPropName::Word(name) => Cow::Borrowed(name.value),
                    },
                    value: convert(property.value, cursor, depth + 1)?,
                })
            };
            let members = it.properties.into_iter().map(member);
            Value::Map(members.collect::<Result<_, _>>()?)
        }
    };
    Ok(Node {
        place,
        range: range.start..range.end,
        value,
    })
}

/// Counts lines and columns while it goes through a text once.
struct Cursor<'a> {
    text: &'a [u8],
    byte: usize,
    place: Place,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            byte: 0,
            place: Place { line: 1, column: 1 },
        }
    }

    /// The place of a byte that is not before the last one asked for.
    fn place(&mut self, byte: usize) -> Place {
        let end = byte.min(self.text.len());
        for byte in self.text.get(self.byte..end).unwrap_or_default() {
            match byte {
                b'\n' => {
                    self.place.line += 1;
                    self.place.column = 1;
                }
                // Only the first byte of a character counts.
                0x80..=0xbf => {}
                _ => self.place.column += 1,
            }
        }
        self.byte = self.byte.max(end);
        self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_characters() {
        let node = parse_json("{\n  \"ä\": [true,\n \"x\"]}").unwrap();
        let member = node.member("ä").unwrap();
        assert_eq!(member.place, Place { line: 2, column: 3 });
        assert_eq!(member.value.place, Place { line: 2, column: 8 });
        let list = member.value.list().unwrap();
        assert_eq!(list[1].place, Place { line: 3, column: 2 });
        assert_eq!(node.size(), 4);
    }

    #[test]
    fn only_json_is_json() {
        for (text, start) in [
            ("", "line 1, column 1: the file is empty"),
            ("{\"a\": 1,}", "line 1, column "),
            ("{\n\"a\" 1}", "line 2, column "),
            ("// x\n{}", "line 1, column 1: "),
            ("{} {}", "line 1, column 4: "),
            ("{\"a\": \"", "line 1, column 7: "),
            ("{'a': 1}", "line 1, column 2: "),
            ("[\"a\nb\"]", "line 1, column 4: control characters"),
            ("[\"\\\"\u{1}\"]", "line 1, column 5: control characters"),
            ("{\"a\tb\": 1}", "line 1, column 4: control characters"),
            ("\u{a0}[1]", "line 1, column 1: only spaces"),
            ("[1,\u{c}2]", "line 1, column 4: only spaces"),
            ("[\"\\\\\"\u{2003}]", "line 1, column 6: only spaces"),
        ] {
            let error = parse_json(text).unwrap_err().to_string();
            assert!(error.starts_with(start), "{text:?}: {error}");
        }
        for text in ["\t[\r\n1 ]", "[\"\\\"\u{a0}\\\\\", \"\u{7f}\"]"] {
            assert!(parse_json(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn values_are_not_nested_deeper_than_64() {
        let nested = |deep: usize| format!("{}1{}", "[".repeat(deep), "]".repeat(deep));
        assert!(parse_json(&nested(64)).is_ok());
        let error = parse_json(&nested(65)).unwrap_err().to_string();
        assert_eq!(
            error,
            "line 1, column 66: values are nested more than 64 deep"
        );
        assert!(parse_json(&format!("{{\"a\": {}}}", nested(64))).is_err());
        assert!(parse_json(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn values_are_rendered_as_metadata_has_them() {
        let text = r#"{"a":[null,true,-1.50e3,"q\"\\\n\u0001"]}"#;
        assert_eq!(parse_json(text).unwrap().render(), text);
        assert_eq!(parse_json(r#""a\nb""#).unwrap().render(), "a\nb");
    }
}
