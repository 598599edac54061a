//! Reads the guide, and compares what it shows with what came.

/// A fenced block of the guide that is followed.
#[derive(Debug, Default)]
pub(crate) struct Block<'a> {
    /// Whether it is the first since a heading.
    pub(crate) opens_section: bool,
    pub(crate) file: Option<&'a str>,
    pub(crate) lines: Vec<&'a str>,
}

/// A command and what the guide says that it prints.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) expected: Vec<String>,
}

pub(crate) fn blocks(guide: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Option<Block<'_>>> = None;
    let mut opens_section = true;
    for line in guide.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let file = info.split_once(" file=").map(|(_, file)| file);
                open = Some((info == "console" || file.is_some()).then(|| Block {
                    opens_section: std::mem::take(&mut opens_section),
                    file,
                    lines: Vec::new(),
                }));
            }
            (Some(block), Some(_)) => {
                blocks.extend(block.take());
                open = None;
            }
            (Some(Some(block)), None) => block.lines.push(line),
            (Some(None), None) => {}
            (None, None) => opens_section |= line.starts_with("## "),
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

impl Block<'_> {
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        if self.file.is_some() {
            return steps;
        }
        for line in &self.lines {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command: command.to_owned(),
                    expected: Vec::new(),
                }),
                (None, Some(step)) => step.expected.push((*line).to_owned()),
                (None, None) => panic!("a block begins with output: {line}"),
            }
        }
        steps
    }
}

/// Compares line by line what was shown with what came.
pub(crate) fn compare(command: &str, shown: &[&str], came: &str) {
    let came: Vec<_> = came.lines().map(timeless).collect();
    let shown: Vec<_> = shown.iter().map(|line| timeless(line)).collect();
    assert!(
        matches(&shown, &came),
        "$ {command}\n--- shown\n{}\n--- came\n{}",
        shown.join("\n"),
        came.join("\n")
    );
}

fn matches(shown: &[String], came: &[String]) -> bool {
    match shown.split_first() {
        None => came.is_empty(),
        Some((line, rest)) if line == "…" => (0..=came.len()).any(|n| matches(rest, &came[n..])),
        Some((line, rest)) => came.first() == Some(line) && matches(rest, &came[1..]),
    }
}

/// `line` without what differs from run to run: dates, ids, durations, ports, processes, and the
/// widths of columns, which are as wide as the ports are long.
fn timeless(line: &str) -> String {
    const VARIABLE: [&str; 6] = [
        r#""processingTime":"#,
        r#""retryAfter":"#,
        "localhost:",
        "127.0.0.1:",
        "process ",
        "kill ",
    ];

    let mut out = String::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let run = |of: fn(char) -> bool| rest.find(|c| !of(c)).unwrap_or(rest.len());
        let (digits, hexadecimals) = (run(|c| c.is_ascii_digit()), run(|c| c.is_ascii_hexdigit()));
        if let Some(after) = after_date(rest) {
            out.push_str("DATE");
            rest = after;
        } else if hexadecimals > 12 {
            out.push_str("ID");
            rest = &rest[hexadecimals..];
        } else if digits > 0 && VARIABLE.iter().any(|before| out.ends_with(before)) {
            out.push('N');
            rest = &rest[digits..];
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What follows the RFC 3339 date with a fraction that `text` begins with.
fn after_date(text: &str) -> Option<&str> {
    let (second, fraction) = text.split_at_checked("2026-11-21T05:24:18".len())?;
    let shape: String = second
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let fraction = fraction.strip_prefix('.')?;
    let after = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    (shape == "0000-00-00T00:00:00").then(|| after.strip_prefix('Z'))?
}
