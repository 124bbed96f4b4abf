//! A file as tables of texts: one for a CSV file, one for each sheet of a workbook.

use std::sync::Arc;

use super::{Mistake, Place, workbook};

/// Rows of texts, in their order. Rows without any are left out.
pub(super) struct Table {
    pub file: Arc<str>,
    pub sheet: Option<Arc<str>>,
    pub rows: Vec<Row>,
}

/// A row, of the cells that are not empty.
pub(super) struct Row {
    /// The line of a text, the row of a sheet, from 1.
    pub number: u64,
    cells: Vec<(u32, String)>,
}

impl Row {
    /// A row from its cells in the order of their columns; nothing if all of them are empty.
    pub fn new(number: u64, cells: impl IntoIterator<Item = (u32, String)>) -> Option<Self> {
        let cells: Vec<_> = cells.into_iter().filter(|(_, text)| !text.is_empty()).collect();
        (!cells.is_empty()).then_some(Self { number, cells })
    }

    /// The text of a column, counted from 0; empty if there is none.
    pub fn get(&self, column: u32) -> &str {
        let found = self.cells.binary_search_by_key(&column, |(at, _)| *at);
        found.ok().and_then(|at| self.cells.get(at)).map_or("", |(_, text)| text)
    }

    /// The cells that are not empty, each with its column.
    pub fn cells(&self) -> impl Iterator<Item = (u32, &str)> {
        self.cells.iter().map(|(column, text)| (*column, text.as_str()))
    }

    /// All texts in one.
    pub fn text(&self) -> String {
        self.cells.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl Table {
    /// A place in it.
    pub fn place(&self, row: &Row, column: Option<u32>) -> Place {
        Place { file: Arc::clone(&self.file), sheet: self.sheet.clone(), row: row.number, column }
    }

    /// Its first row, or the whole of it if it has none.
    pub fn first_place(&self) -> Place {
        let row = self.rows.first().map_or(0, |row| row.number);
        Place { file: Arc::clone(&self.file), sheet: self.sheet.clone(), row, column: None }
    }
}

/// What other files than CSV and workbooks begin with, and what to do about them.
const OTHERS: [(&[u8], &str); 3] = [
    (b"\xd0\xcf\x11\xe0", "it is a workbook of the old kind; save it as `.xlsx` or CSV"),
    (b"%PDF", "it is a PDF; the platform's list is there as CSV or workbook too"),
    (b"<", "it is a page of the web and no list: its link has expired, or leads elsewhere"),
];

/// Reads a file, whatever its name.
pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Vec<Table>, Vec<Mistake>> {
    if bytes.starts_with(b"PK\x03\x04") {
        return workbook::read(file, bytes);
    }
    if let Some((_, problem)) = OTHERS.iter().find(|(begins, _)| bytes.starts_with(begins)) {
        return Err(vec![Place::file(file).mistake(*problem)]);
    }
    csv(file, bytes).map(|table| vec![table])
}

fn csv(file: &str, bytes: &[u8]) -> Result<Table, Vec<Mistake>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let mut table = Table { file: file.into(), sheet: None, rows: Vec::new() };
    let mut mistakes = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                let cells = (0..).zip(record.iter().map(str::to_owned));
                table.rows.extend(Row::new(line, cells));
            }
            Err(error) => {
                let row = error.position().map_or(0, csv::Position::line);
                mistakes.push(Place { row, ..Place::file(file) }.mistake("it is not CSV in UTF-8"));
            }
        }
    }
    if mistakes.is_empty() { Ok(table) } else { Err(mistakes) }
}
