use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    ops::Range,
};

use crate::Malformed;

/// How deep values may be nested.
pub(crate) const DEPTH: usize = 64;

/// Bytes of text that weigh as much as a value.
const TEXT_OF_A_VALUE: usize = 64;

/// Where something stands in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line, counted from one.
    pub line: u32,
    /// The character within the line, counted from one.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(f, "line {line}, column {column}")
    }
}

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// Where it begins; of what an alias stands for, where the alias is.
    pub place: Place,
    /// The bytes of the text that it takes up; only known of JSON.
    pub range: Range<usize>,
    /// What it is.
    pub value: Value<'a>,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number that JSON can write, as it is written.
    Number(Cow<'a, str>),
    /// A text, without its quotes.
    Text(Cow<'a, str>),
    /// Values in their order.
    List(Vec<Node<'a>>),
    /// Members in their order; a key may be there twice.
    Map(Vec<Member<'a>>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key, without its quotes.
    pub key: Cow<'a, str>,
    /// Where the key begins.
    pub place: Place,
    /// The bytes of key and value; only known of JSON.
    pub range: Range<usize>,
    /// The value.
    pub value: Node<'a>,
}

impl<'a> Node<'a> {
    /// The members of a map.
    #[must_use]
    pub fn members(&self) -> Option<&[Member<'a>]> {
        match &self.value {
            Value::Map(members) => Some(members),
            _ => None,
        }
    }

    /// The values of a list.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The first member of a map with this key.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&Member<'a>> {
        self.members()?.iter().find(|member| member.key == key)
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The text of a value that is one, or as good as one: a number or a truth.
    #[must_use]
    pub fn scalar(&self) -> Option<Cow<'_, str>> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(Cow::Borrowed(text)),
            Value::Bool(it) => Some(Cow::Borrowed(if *it { "true" } else { "false" })),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// How many values this is, itself included; a long text counts as several.
    #[must_use]
    pub fn size(&self) -> usize {
        let text = |text: &str| text.len() / TEXT_OF_A_VALUE;
        1 + match &self.value {
            Value::Null | Value::Bool(_) => 0,
            Value::Number(it) | Value::Text(it) => text(it),
            Value::List(list) => list.iter().map(Self::size).sum(),
            Value::Map(members) => {
                let size = |member: &Member<'_>| text(&member.key) + member.value.size();
                members.iter().map(size).sum()
            }
        }
    }

    /// How many values are nested within this one, at most.
    pub(crate) fn height(&self) -> usize {
        let above = |height: Option<usize>| height.map_or(0, |height| height + 1);
        match &self.value {
            Value::List(list) => above(list.iter().map(Self::height).max()),
            Value::Map(members) => above(members.iter().map(|it| it.value.height()).max()),
            _ => 0,
        }
    }

    /// A text as it is, anything else as JSON.
    #[must_use]
    pub fn render(&self) -> String {
        if let Value::Text(text) = &self.value {
            return text.clone().into_owned();
        }
        let mut json = String::new();
        self.write_json(&mut json);
        json
    }

    fn write_json(&self, json: &mut String) {
        match &self.value {
            Value::Null => json.push_str("null"),
            Value::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => json.push_str(number),
            Value::Text(text) => write_text(json, text),
            Value::List(list) => {
                json.push('[');
                for (index, node) in list.iter().enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    node.write_json(json);
                }
                json.push(']');
            }
            Value::Map(members) => {
                json.push('{');
                for (index, member) in members.iter().enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    write_text(json, &member.key);
                    json.push(':');
                    member.value.write_json(json);
                }
                json.push('}');
            }
        }
    }
}

pub(crate) fn too_deep(place: Place) -> Malformed {
    Malformed::new(place, format!("values are nested more than {DEPTH} deep"))
}

/// Appends `text` as a JSON string.
pub fn write_text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}
