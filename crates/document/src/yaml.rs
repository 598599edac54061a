use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use crate::{
    Malformed, Member, Node, Place, Value,
    node::{DEPTH, too_deep},
};

/// How many values all aliases together may stand for, so that a few lines cannot stand for a
/// billion. Long texts count as several, so it is no more than a few megabytes either.
const ALIASED: usize = 100_000;

/// The value of the one document that a text of YAML holds.
///
/// Scalars are what YAML 1.2's core schema says; anchors, aliases and merge keys work.
///
/// # Errors
///
/// When it is not YAML, is empty, holds a second document, or stands for too much.
pub fn parse_yaml(text: &str) -> Result<Node<'_>, Malformed> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        // Anchors that are not within one another never come to more than this.
        room: ALIASED.saturating_add(text.len()),
        aliased: 0,
        begun: Vec::new(),
    };
    reader.document()
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Anchored<'a>>,
    /// How many more values anchors may be kept of: each is a copy, and within another anchor it
    /// is copied once more.
    room: usize,
    aliased: usize,
    /// The members so far of all maps that have begun, so that each map has just the memory it
    /// needs: most have few members, and a registry has ten thousand maps.
    begun: Vec<Member<'a>>,
}

struct Anchored<'a> {
    node: Node<'a>,
    size: usize,
    height: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node<'a>, Malformed> {
        let root = loop {
            match self.next()? {
                (Event::Nothing | Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, span) => {
                    return Err(problem(place(&span.start), "the file is empty"));
                }
                (event, span) => break self.node(event, span, 0)?,
            }
        };
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root),
                (Event::DocumentStart(_), span) => {
                    let text = "a second document begins, where only one is read";
                    return Err(problem(place(&span.start), text));
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Malformed> {
        match self.parser.next_event() {
            Some(event) => event.map_err(|error| unreadable(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node<'a>, Malformed> {
        let place = place(&span.start);
        if depth > DEPTH {
            return Err(too_deep(place));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain {
                    scalar(text)
                } else {
                    Value::Text(text)
                };
                (anchor, value)
            }
            Event::SequenceStart(anchor, _) => (anchor, Value::List(self.list(depth)?)),
            Event::MappingStart(anchor, _) => (anchor, Value::Map(self.map(depth)?)),
            Event::Alias(anchor) => return self.alias(anchor, place, depth),
            _ => return Err(problem(place, "a value was expected")),
        };
        let node = Node {
            place,
            range: 0..0,
            value,
        };
        if anchor != 0 {
            self.keep(anchor, &node)?;
        }
        Ok(node)
    }

    fn keep(&mut self, anchor: usize, node: &Node<'a>) -> Result<(), Malformed> {
        let size = node.size();
        let Some(room) = self.room.checked_sub(size) else {
            let text = "anchors within anchors hold too many values";
            return Err(problem(node.place, text));
        };
        self.room = room;
        let anchored = Anchored {
            node: node.clone(),
            size,
            height: node.height(),
        };
        self.anchors.insert(anchor, anchored);
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node<'a>>, Malformed> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(list),
                (event, span) => list.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Member<'a>>, Malformed> {
        let first = self.begun.len();
        let mut merged: Vec<Node<'a>> = Vec::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                next => next,
            };
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let place = key.place;
            let key = match key.value {
                Value::Text(text) | Value::Number(text) => text,
                Value::Null => "null".into(),
                Value::Bool(true) => "true".into(),
                Value::Bool(false) => "false".into(),
                Value::List(_) | Value::Map(_) => {
                    return Err(problem(place, "a key must be a text"));
                }
            };
            if key == "<<" {
                match value.value {
                    Value::List(list) => merged.extend(list),
                    _ => merged.push(value),
                }
                continue;
            }
            self.begun.push(Member {
                key,
                place,
                range: 0..0,
                value,
            });
        }
        let mut members = self.begun.split_off(first);
        if !merged.is_empty() {
            merge(&mut members, merged)?;
        }
        Ok(members)
    }

    fn alias(&mut self, anchor: usize, place: Place, depth: usize) -> Result<Node<'a>, Malformed> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(problem(place, "the alias names no anchor before it"));
        };
        if depth + anchored.height > DEPTH {
            return Err(too_deep(place));
        }
        self.aliased = self.aliased.saturating_add(anchored.size);
        if self.aliased > ALIASED {
            let text = format!("aliases stand for more than {ALIASED} values");
            return Err(problem(place, text));
        }
        let mut node = anchored.node.clone();
        node.place = place;
        Ok(node)
    }
}

/// Adds the members of the `merged` maps that are not there yet.
fn merge<'a>(members: &mut Vec<Member<'a>>, merged: Vec<Node<'a>>) -> Result<(), Malformed> {
    let mut known: HashSet<_> = members.iter().map(|member| member.key.clone()).collect();
    for node in merged {
        let Value::Map(inherited) = node.value else {
            return Err(problem(node.place, "only a mapping can be merged"));
        };
        let is_new = |member: &Member<'a>| known.insert(member.key.clone());
        members.extend(inherited.into_iter().filter(is_new));
    }
    Ok(())
}

fn scalar(text: Cow<'_, str>) -> Value<'_> {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        number if is_json_number(number) => Value::Number(text),
        _ => Value::Text(text),
    }
}

/// Only what JSON writes the same way: `010` and `0x10` mean different numbers to different
/// readers, and stay texts.
fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

fn place(marker: &Marker) -> Place {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Place {
        line: number(marker.line()).max(1),
        column: number(marker.col()).saturating_add(1),
    }
}

fn problem(place: Place, text: impl Into<String>) -> Malformed {
    Malformed::new(place, text)
}

fn unreadable(error: &ScanError) -> Malformed {
    problem(place(error.marker()), error.info())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::parse_json;

    /// Every place in `node`.
    fn places(node: &Node<'_>) -> Vec<Place> {
        let inner = match &node.value {
            Value::List(list) => list.iter().flat_map(places).collect(),
            Value::Map(members) => {
                let members = members.iter();
                let both = |member: &Member<'_>| [vec![member.place], places(&member.value)];
                members.flat_map(both).flatten().collect()
            }
            _ => Vec::new(),
        };
        std::iter::once(node.place).chain(inner).collect()
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in any::<String>(), tail in "[-?:,{}\\[\\]&*!|>'\"%@`#<~a0. \n\t]{0,60}") {
            for text in [&text, &tail] {
                let lines = text.lines().count() as u32 + 1;
                match parse_yaml(text) {
                    Ok(root) => {
                        let mut places = places(&root).into_iter();
                        prop_assert!(places.all(|it| it.line <= lines && it.column > 0));
                    }
                    Err(error) => prop_assert!(error.place.line <= lines + 1, "{text:?}: {error}"),
                }
                let _ = parse_json(text);
            }
        }

        #[test]
        fn json_is_yaml(numbers in proptest::collection::vec(any::<i64>(), 0..5), text in "[ -~]{0,20}") {
            let mut json = String::new();
            crate::write_text(&mut json, &text);
            let json = format!("{{\"n\":{numbers:?},\"t\":{json}}}");
            let (ours, theirs) = (parse_yaml(&json).unwrap(), parse_json(&json).unwrap());
            prop_assert_eq!(ours.render(), theirs.render());
        }
    }

    #[test]
    fn scalars_are_those_of_the_core_schema() {
        let text = "[~, true, 1, 1.5e3, 010, 0x1f, '1', yes, no, 2026-01-01, \"a\"]";
        let json = r#"[null,true,1,1.5e3,"010","0x1f","1","yes","no","2026-01-01","a"]"#;
        assert_eq!(parse_yaml(text).unwrap().render(), json);
    }

    #[test]
    fn anchors_aliases_and_merge_keys_work() {
        let text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nd: {<<: [{x: 9}, *a]}\n";
        let json = r#"{"a":{"x":1,"y":2},"b":{"y":3,"x":1},"c":{"x":1,"y":2},"d":{"x":9,"y":2}}"#;
        assert_eq!(parse_yaml(text).unwrap().render(), json);
    }

    #[test]
    fn a_few_lines_cannot_stand_for_a_billion_values() {
        let mut text = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
        for n in 1..10 {
            let before = n - 1;
            let list = vec![format!("*a{before}"); 10].join(",");
            text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        let error = parse_yaml(&text).unwrap_err().to_string();
        assert!(error.contains("aliases stand for more than"), "{error}");
        let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
        assert!(parse_yaml(&deep).is_err());
    }

    #[test]
    fn a_few_lines_cannot_stand_for_a_gigabyte() {
        let long = "x".repeat(500_000);
        let aliases = "*a,".repeat(50_000);
        let text = format!("a: &a \"\\x41{long}\"\nb: [{aliases}]\n");
        let error = parse_yaml(&text).unwrap_err().to_string();
        assert!(error.contains("aliases stand for more than"), "{error}");
    }

    #[test]
    fn what_an_alias_stands_for_counts_where_the_alias_is() {
        let text = |deep: usize| {
            let lists = |inner| format!("{}{inner}{}", "[".repeat(deep), "]".repeat(deep));
            format!("a: &a {}\nb: {}\n", lists("x"), lists("*a"))
        };
        assert!(parse_yaml(&text(31)).is_ok());
        let error = parse_yaml(&text(32)).unwrap_err().to_string();
        assert!(error.starts_with("line 2, column "), "{error}");
        assert!(error.ends_with("nested more than 64 deep"), "{error}");
    }

    #[test]
    fn anchors_within_anchors_do_not_multiply_a_text() {
        let anchored = |anchors: usize| {
            let begin: String = (0..anchors).map(|n| format!("&a{n} [")).collect();
            format!(
                "a: {begin}{}{}\n",
                "1,".repeat(100_000),
                "]".repeat(anchors)
            )
        };
        assert!(parse_yaml(&anchored(2)).is_ok());
        let error = parse_yaml(&anchored(60)).unwrap_err().to_string();
        assert!(error.contains("anchors within anchors"), "{error}");
        let many: String = (0..50_000).map(|n| format!("- &a{n} [1, 2]\n")).collect();
        assert!(parse_yaml(&many).is_ok());
    }

    #[test]
    fn many_members_are_merged_in_no_time() {
        let members = |mark: char| -> String {
            let members = (0..40_000).map(|n| format!("  {mark}{n}: 1\n"));
            members.collect()
        };
        let text = format!("a: &a\n{}b:\n  <<: *a\n{}", members('a'), members('b'));
        let root = parse_yaml(&text).unwrap();
        let merged = root.member("b").unwrap().value.members().unwrap();
        assert_eq!(merged.len(), 80_000);
    }

    #[test]
    fn errors_have_their_place() {
        for (text, message) in [
            ("", "the file is empty"),
            ("# only a comment\n", "the file is empty"),
            (
                "a: 1\n---\nb: 2\n",
                "line 2, column 1: a second document begins, where only one is read",
            ),
            ("? [a]\n: 1\n", "line 1, column 3: a key must be a text"),
            ("a: *b\n", "line 1, column 4: "),
            ("a: 1\n b: 2\n", "line 2, column "),
            ("a: [1\nb: 2", "line "),
            ("a: \"x", "line "),
            ("<<: 1", "line 1, column 5: only a mapping can be merged"),
        ] {
            let error = parse_yaml(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text:?}: {error}");
        }
    }
}
