//! Medians with their spread, as tables.

use comfy_table::{CellAlignment, Table, presets};

/// Several runs of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs(Vec<f64>);

impl Runs {
    /// Adds a run.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The middle one; NaN without any.
    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Half the distance between the smallest and the largest, relative to the median, in percent.
    pub(crate) fn spread(&self) -> f64 {
        let (Some(low), Some(high)) = (self.0.first(), self.0.last()) else { return f64::NAN };
        (high - low) / 2.0 / self.median() * 100.0
    }

    /// `1.23 ±4 %`.
    pub(crate) fn show(&self, digits: usize) -> String {
        format!("{:.digits$} ±{:.0} %", self.median(), self.spread())
    }
}

/// A table in Markdown's form, numbers to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.add_rows(rows);
    table.to_string()
}
