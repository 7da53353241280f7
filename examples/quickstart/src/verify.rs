//! What went in against what came out, by row number.

use crate::broker::Stored;
use crate::consume::Consumed;
use crate::input::Input;
use crate::produce::{Crash, Produced};
use ottla::Compression;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows per key, and the sum of the column whose mean is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tally {
    /// Rows.
    pub(crate) rows: u64,
    /// Rows that have a number in the column.
    pub(crate) numbers: u64,
    /// The sum of those numbers.
    pub(crate) sum: f64,
}

/// One topic's run.
pub(crate) struct Outcome {
    /// Its codec.
    pub(crate) codec: Compression,
    /// Its name.
    pub(crate) topic: String,
    /// Acknowledged records.
    pub(crate) produced: u64,
    /// Deliveries.
    pub(crate) consumed: u64,
    /// Rows that were not delivered.
    pub(crate) lost: u64,
    /// Deliveries beyond the first of each row, and deliveries that are no row.
    pub(crate) duplicated: u64,
    /// Rows whose key or value came back changed.
    pub(crate) changed: u64,
    /// Whether each key's rows came in order.
    pub(crate) ordered: bool,
    /// Whether counts per key equal those of the file.
    pub(crate) counts_equal: bool,
    /// Whether each of the two members got some.
    pub(crate) both_members: bool,
    /// Whether the group's committed offsets are the ends of all partitions.
    pub(crate) committed_to_the_end: bool,
    /// What is on disk.
    pub(crate) stored: Stored,
    /// From the first send to the last acknowledgement.
    pub(crate) producing: Duration,
    /// The leader that was killed meanwhile.
    pub(crate) crash: Option<Crash>,
    /// From when the members share the partitions to the last delivery.
    pub(crate) consuming: Duration,
    /// What was consumed, per key.
    pub(crate) tallies: BTreeMap<Vec<u8>, Tally>,
}

impl Outcome {
    /// Compares.
    pub(crate) fn new(
        codec: Compression,
        topic: &str,
        input: &Input,
        produced: Produced,
        consumed: Consumed,
        stored: Stored,
    ) -> Self {
        let mut times = vec![0u64; input.rows.len()];
        let mut strangers = 0;
        let mut changed = 0;
        let mut members = [false; 2];
        let mut last_row: BTreeMap<&[u8], u64> = BTreeMap::new();
        let mut ordered = true;
        for delivery in &consumed.deliveries {
            members[delivery.member] = true;
            let number = delivery.row.filter(|row| (*row as usize) < input.rows.len());
            let Some(number) = number else {
                strangers += 1;
                continue;
            };
            times[number as usize] += 1;
            let row = &input.rows[number as usize];
            changed += u64::from(row.key != delivery.key || row.line != delivery.value);
        }
        // Members run side by side: a partition's order is that of its offsets, a key's rows are
        // all in one partition.
        let mut by_offset: Vec<_> = consumed.deliveries.iter().collect();
        by_offset.sort_by_key(|delivery| (delivery.partition, delivery.offset));
        for delivery in by_offset {
            let row = delivery.row.unwrap_or_default();
            let last = last_row.insert(&delivery.key, row);
            ordered &= last.is_none_or(|last| last <= row);
        }
        let of_file = tally(input, input.rows.iter().map(|row| (&row.key[..], &row.line[..])));
        let pairs = consumed.deliveries.iter().map(|d| (&d.key[..], &d.value[..]));
        let tallies = tally(input, pairs);
        Self {
            codec,
            topic: topic.to_owned(),
            produced: produced.acknowledged,
            consumed: consumed.deliveries.len() as u64,
            lost: times.iter().filter(|times| **times == 0).count() as u64,
            duplicated: strangers + times.iter().map(|times| times.saturating_sub(1)).sum::<u64>(),
            changed,
            ordered,
            counts_equal: tallies == of_file,
            both_members: members == [true; 2] || input.rows.len() < 100,
            committed_to_the_end: consumed.committed_to_the_end,
            stored,
            producing: produced.elapsed,
            crash: produced.crash,
            consuming: consumed.elapsed,
            tallies,
        }
    }

    /// The checks that failed, in words.
    pub(crate) fn failures(&self) -> Vec<String> {
        let checks = [
            (self.lost == 0, format!("{} rows lost", self.lost)),
            (self.duplicated == 0, format!("{} rows duplicated", self.duplicated)),
            (self.changed == 0, format!("{} rows changed on the way", self.changed)),
            (self.ordered, "rows of one key out of order".to_owned()),
            (self.counts_equal, "counts differ from those of the file".to_owned()),
            (self.both_members, "one of the two members got nothing".to_owned()),
            (self.committed_to_the_end, "committed offsets are not the ends".to_owned()),
            (self.stored.codec_as_asked, "a batch on disk has another codec".to_owned()),
        ];
        let failed = checks.into_iter().filter(|(passed, _)| !passed);
        failed.map(|(_, words)| format!("{}: {words}", self.topic)).collect()
    }
}

fn tally<'r>(
    input: &Input,
    rows: impl Iterator<Item = (&'r [u8], &'r [u8])>,
) -> BTreeMap<Vec<u8>, Tally> {
    let (mut keys, mut lines) = (Vec::new(), Vec::new());
    for (key, line) in rows {
        keys.push(key);
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    let mut tallies: BTreeMap<Vec<u8>, Tally> = BTreeMap::new();
    for key in &keys {
        tallies.entry(key.to_vec()).or_default().rows += 1;
    }
    let Some((column, _)) = input.mean else { return tallies };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&lines[..]);
    for (key, fields) in keys.iter().zip(reader.byte_records()) {
        let number = fields
            .ok()
            .and_then(|fields| std::str::from_utf8(fields.get(column)?).ok()?.parse::<f64>().ok());
        if let (Some(number), Some(tally)) = (number, tallies.get_mut(*key)) {
            tally.numbers += 1;
            tally.sum += number;
        }
    }
    tallies
}
