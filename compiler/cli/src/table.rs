//! Tables that fit the terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement};
use lostwax_ir::printable::printable_line;
use std::io::IsTerminal;

/// The columns of text that is not shown on a terminal, unless the environment variable `COLUMNS` names another number.
const WIDTH: u16 = 120;

/// The spaces between two columns.
const GAP: u16 = 2;

/// Rows of cells; columns of numbers are aligned to the right, cells that are too long for the terminal go on in the next line.
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows; without column names there is no line for them.
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column; what is in a cell is one line.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable_line(&cell).into_owned()).collect());
    }

    /// The table with this number of spaces before each line.
    pub fn indented(&self, spaces: u16) -> String {
        let lines = self.lines(width().saturating_sub(spaces));
        lines.iter().map(|line| format!("{}{line}\n", " ".repeat(spaces.into()))).collect()
    }

    /// The lines in at most this number of columns of text.
    fn lines(&self, width: u16) -> Vec<String> {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        if !self.header.is_empty() {
            table.set_header(&self.header);
        }
        table.add_rows(&self.rows);
        for (position, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, GAP));
            if self.is_number(position) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.lines().map(|line| line.trim_end().to_string()).collect()
    }

    fn is_number(&self, column: usize) -> bool {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        !self.rows.is_empty() && cells.into_iter().all(|cell| cell.starts_with(|c: char| c.is_ascii_digit() || c == '-'))
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines(width()).iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// The columns of text that there is room for.
fn width() -> u16 {
    let terminal = std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    let given = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    terminal.map(|(width, _)| width.0).or_else(given).unwrap_or(WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["name", "count", "what"]);
        table.row(["first".to_string(), "1".to_string(), "one two three four five six seven".to_string()]);
        table.row(["second".to_string(), "200".to_string(), String::new()]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(table().lines(80)[0], "name    count  what");
        assert_eq!(table().lines(80)[1], "first       1  one two three four five six seven");
        assert_eq!(table().lines(80)[2], "second    200");
    }

    #[test]
    fn long_cells_go_on_in_the_next_line() {
        let lines = table().lines(30);
        assert!(lines.len() > 3 && lines.iter().all(|line| line.chars().count() <= 30), "{lines:?}");
    }
}
