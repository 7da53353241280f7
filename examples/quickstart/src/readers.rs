//! The same topic once more, read by the Python and Node packages in programs of their own.

use crate::Failure;
use crate::input::Input;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// A program in another language: its name, what runs it, and its file.
pub(crate) struct Reader<'o> {
    language: &'o str,
    interpreter: &'o str,
    script: &'o str,
}

impl<'o> Reader<'o> {
    /// From the values of `--reader`, three a reader.
    pub(crate) fn of_options(values: &'o [String]) -> Vec<Self> {
        let reader = |values: &'o [String]| match values {
            [language, interpreter, script] => Some(Self { language, interpreter, script }),
            _ => None,
        };
        values.chunks(3).filter_map(reader).collect()
    }

    /// Runs the program and compares what it says with the input.
    pub(crate) fn read(
        &self,
        bootstrap: &str,
        topic: &str,
        partitions: i32,
        input: &Input,
    ) -> Reading {
        let said = self.run(bootstrap, topic, partitions);
        let compared = said.map(|said| Comparison::new(said, input));
        Reading { language: self.language.to_owned(), compared }
    }

    fn run(&self, bootstrap: &str, topic: &str, partitions: i32) -> Result<Said, Failure> {
        let output = Command::new(self.interpreter)
            .args([self.script, bootstrap, topic, &partitions.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot start {}: {error}", self.interpreter))?;
        if !output.status.success() {
            return Err(format!("{} ended with {}", self.script, output.status).into());
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("{} said no JSON: {error}", self.script).into())
    }
}

/// What a program prints, as JSON.
#[derive(Debug, Deserialize)]
struct Said {
    /// The language's version.
    version: String,
    /// Row numbers from the headers, as they came.
    rows: Vec<i64>,
    /// Records per key.
    counts: BTreeMap<String, u64>,
    /// Bytes of all keys and values.
    bytes: u64,
    /// From the first call to the last record.
    seconds: f64,
}

/// One program's run.
pub(crate) struct Reading {
    pub(crate) language: String,
    /// An error where the program did not get through.
    pub(crate) compared: Result<Comparison, Failure>,
}

/// What a program said against the input.
pub(crate) struct Comparison {
    pub(crate) version: String,
    pub(crate) records: u64,
    pub(crate) lost: u64,
    /// Deliveries beyond the first of each row, and those that are no row.
    pub(crate) duplicated: u64,
    pub(crate) counts_equal: bool,
    pub(crate) bytes_equal: bool,
    pub(crate) seconds: f64,
}

impl Comparison {
    fn new(said: Said, input: &Input) -> Self {
        let mut times = vec![0_u64; input.rows.len()];
        let mut strangers = 0;
        for row in &said.rows {
            match usize::try_from(*row).ok().and_then(|row| times.get_mut(row)) {
                Some(times) => *times += 1,
                None => strangers += 1,
            }
        }
        let mut counts = BTreeMap::new();
        for row in &input.rows {
            *counts.entry(String::from_utf8_lossy(&row.key).into_owned()).or_insert(0) += 1;
        }
        Self {
            version: said.version,
            records: said.rows.len() as u64,
            lost: times.iter().filter(|times| **times == 0).count() as u64,
            duplicated: strangers + times.iter().map(|times| times.saturating_sub(1)).sum::<u64>(),
            counts_equal: counts == said.counts,
            bytes_equal: said.bytes == input.payload_bytes(),
            seconds: said.seconds,
        }
    }
}

impl Reading {
    /// The checks that failed, in words.
    pub(crate) fn failures(&self) -> Vec<String> {
        let compared = match &self.compared {
            Ok(compared) => compared,
            Err(error) => return vec![format!("{}: {error}", self.language)],
        };
        let checks = [
            (compared.lost == 0, format!("{} rows lost", compared.lost)),
            (compared.duplicated == 0, format!("{} rows duplicated", compared.duplicated)),
            (compared.counts_equal, "counts differ from those of the file".to_owned()),
            (compared.bytes_equal, "keys and values have other lengths".to_owned()),
        ];
        let failed = checks.into_iter().filter(|(passed, _)| !passed);
        failed.map(|(_, words)| format!("{}: {words}", self.language)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Row;

    fn input() -> Input {
        let row = |key: &str| Row { key: key.into(), line: b"abc".to_vec() };
        Input::of_rows(vec![row("UA"), row("AA"), row("UA")])
    }

    fn said(rows: &[i64], counts: &[(&str, u64)], bytes: u64) -> Said {
        Said {
            version: "Python 3".to_owned(),
            rows: rows.to_vec(),
            counts: counts.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect(),
            bytes,
            seconds: 0.1,
        }
    }

    fn failures(said: Said) -> Vec<String> {
        let compared = Ok(Comparison::new(said, &input()));
        Reading { language: "Python".to_owned(), compared }.failures()
    }

    #[test]
    fn what_equals_the_file_is_no_failure() {
        assert_eq!(failures(said(&[2, 0, 1], &[("UA", 2), ("AA", 1)], 15)), [""; 0]);
    }

    #[test]
    fn rows_are_compared_by_number() {
        let found = failures(said(&[2, 0, 0, 7, -1], &[("UA", 2), ("AA", 1)], 15));
        assert_eq!(found, ["Python: 1 rows lost", "Python: 3 rows duplicated"]);
        let found = failures(said(&[2, 0, 1], &[("UA", 1), ("AA", 2)], 14));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn readers_come_in_threes() {
        let values = ["Python", "python3", "a.py", "Node", "node", "b.mjs"].map(str::to_owned);
        let readers = Reader::of_options(&values);
        let names: Vec<_> = readers.iter().map(|reader| (reader.language, reader.script)).collect();
        assert_eq!(names, [("Python", "a.py"), ("Node", "b.mjs")]);
    }
}
