//! Workbooks: the sheets of an `.xlsx` file as tables of texts.
//!
//! A workbook stores numbers as binary floats, and money must not become one. So a number is turned into the shortest
//! decimal text that means exactly the stored float, before anything is done with it: a rate that was typed with at
//! most six decimals comes back as typed, and one that has been calculated with shows all its digits and is refused like
//! any other text with too many decimals.

use std::collections::BTreeMap;
use std::io::Cursor;

use calamine::{DataRef, Reader, Xlsx};

use super::table::{Row, Table};
use super::{Mistake, Place};

/// Reads all sheets.
pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Vec<Table>, Vec<Mistake>> {
    let unreadable =
        |error: calamine::XlsxError| vec![Place::file(file).mistake(format!("the workbook cannot be read: {error}"))];
    let mut workbook = Xlsx::new(Cursor::new(bytes)).map_err(unreadable)?;
    let mut tables = Vec::new();
    for name in workbook.sheet_names() {
        // Cells come one by one, so that a stray one at the far end of a sheet costs nothing.
        let mut cells: BTreeMap<u32, Vec<(u32, String)>> = BTreeMap::new();
        let mut reader = match workbook.worksheet_cells_reader(&name) {
            Ok(reader) => reader,
            // A sheet that holds a chart has no cells.
            Err(calamine::XlsxError::WorksheetNotFound(_)) => continue,
            Err(error) => return Err(unreadable(error)),
        };
        while let Some(cell) = reader.next_cell().map_err(unreadable)? {
            let (row, column) = cell.get_position();
            cells.entry(row).or_default().push((column, text(cell.get_value())));
        }
        let rows = cells.into_iter().filter_map(|(row, mut cells)| {
            cells.sort_by_key(|(column, _)| *column);
            Row::new(u64::from(row) + 1, cells)
        });
        tables.push(Table { file: file.into(), sheet: Some(name.into()), rows: rows.collect() });
    }
    Ok(tables)
}

/// What a cell shows, in full.
fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Empty => String::new(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Bool(truth) => truth.to_string(),
        DataRef::DateTime(date) => {
            let (year, month, day, ..) = date.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}")
        }
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(error) => error.to_string(),
    }
}
