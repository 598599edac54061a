//! Tables for people.

use std::fmt::Write;

use bartizan_config::printable;

/// What a cell says beyond its text, where there is colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Good,
    Bad,
    Faint,
}

/// One cell of a [`Table`].
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// The same text in another tone.
    pub(crate) fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: printable(&text.to_string()),
            tone: Tone::default(),
        }
    }
}

/// Rows in aligned columns: numbers to the right, all else to the left.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of as many cells as there are columns.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text, without a line feed at its end.
    pub(crate) fn render(&self, colour: bool) -> String {
        let header: Vec<Cell> = self.header.iter().copied().map(Cell::from).collect();
        let columns: Vec<(usize, bool)> = (0..header.len())
            .map(|column| {
                let cells = || self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells().map(Cell::width).max().unwrap_or_default();
                let right = !self.rows.is_empty() && cells().all(|cell| is_number(&cell.text));
                (widest.max(header[column].width()), right)
            })
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for (cell, (width, right)) in row.iter().zip(&columns) {
                let space = " ".repeat(width - cell.width());
                let shown = shown(cell, colour);
                let _ = match right {
                    true => write!(line, "{space}{shown}  "),
                    false => write!(line, "{shown}{space}  "),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.truncate(text.trim_end_matches('\n').len());
        text
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn shown(cell: &Cell, colour: bool) -> String {
    let code = match cell.tone {
        Tone::Plain => return cell.text.clone(),
        Tone::Good => 32,
        Tone::Bad => 31,
        Tone::Faint => 2,
    };
    if colour {
        format!("\u{1b}[{code}m{}\u{1b}[0m", cell.text)
    } else {
        cell.text.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_are_to_the_right() {
        let mut table = Table::new(&["TEMPLATE", "CALLS"]);
        table.row(["größe".into(), 7.into()]);
        table.row(["b".into(), Cell::from("-123456")]);
        assert_eq!(
            table.render(false),
            "TEMPLATE    CALLS\ngröße           7\nb         -123456"
        );
        assert_eq!(Table::new(&["A"]).render(false), "A");
    }

    #[test]
    fn colour_is_only_where_it_is_wanted_and_costs_no_width() {
        let mut table = Table::new(&["A", "B"]);
        table.row([Cell::from("well").tone(Tone::Good), "x".into()]);
        assert_eq!(table.render(false), "A     B\nwell  x");
        assert_eq!(table.render(true), "A     B\n\u{1b}[32mwell\u{1b}[0m  x");
    }

    #[test]
    fn names_cannot_move_the_cursor() {
        let mut table = Table::new(&["A"]);
        table.row(["\u{1b}[2J\nb".into()]);
        assert_eq!(table.render(true), "A\n\\u{1b}[2J\\nb");
    }
}
