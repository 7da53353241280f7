//! What the user sees.

use crate::input::Input;
use crate::readers::Reading;
use crate::verify::Outcome;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Keys that are shown; a user's file may have millions.
const KEYS_SHOWN: usize = 20;

/// A bar on the terminal; nothing where standard error is none.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar of `total` steps.
    pub(crate) fn new(total: u64) -> Self {
        let bar = ProgressBar::new(total);
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} % {msg}")
            .expect("the template is valid");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// What is being done.
    pub(crate) fn say(&self, what: String) {
        self.0.set_message(what);
    }

    /// Steps that were done.
    pub(crate) fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Prints tables, checks and the last line; whether every check passed. `left_out` has a language
/// and the reason, alternately.
pub(crate) fn print(
    input: &Input,
    outcomes: &[Outcome],
    readings: &[Reading],
    left_out: &[String],
) -> bool {
    println!("\n{}", keys(input, &outcomes[0]));
    println!("\n{}", codecs(input, outcomes));
    println!("\n{}", crashes(outcomes));
    languages(outcomes, readings, left_out);
    let failures = outcomes.iter().flat_map(Outcome::failures);
    let failures: Vec<_> = failures.chain(readings.iter().flat_map(Reading::failures)).collect();
    println!("\nverified, for each topic, by row number:");
    println!("  every row delivered once, unchanged, the rows of one key in order");
    println!("  counts per {} equal those of the file", input.key_column);
    println!("  two members shared the partitions, one left in the middle, the other took over");
    println!(
        "  committed offsets are the partitions' ends; batches on disk have the codec asked for"
    );
    for failure in &failures {
        println!("  FAILED {failure}");
    }
    println!("\nwhere to go next:");
    println!(
        "  cargo xtask quickstart --input FILE --key COLUMN        the same with your own CSV"
    );
    println!("  cargo run --release -p ottla-broker -- dev --nodes 3    a cluster to play with");
    println!("  README.md                                               the client in ten lines");
    println!("  ARCHITECTURE.md                                         what happened just now");
    let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    let compared = || readings.iter().filter_map(|reading| reading.compared.as_ref().ok());
    let equal = outcomes.iter().all(|outcome| outcome.counts_equal)
        && compared().count() == readings.len()
        && compared().all(|compared| compared.counts_equal);
    let lost = sum(|o| o.lost) + compared().map(|compared| compared.lost).sum::<u64>();
    let duplicated =
        sum(|o| o.duplicated) + compared().map(|compared| compared.duplicated).sum::<u64>();
    println!(
        "\nquickstart: produced {}, consumed {}, lost {lost}, duplicated {duplicated}, \
         counts {}",
        sum(|o| o.produced),
        sum(|o| o.consumed),
        if equal { "equal" } else { "differ" }
    );
    failures.is_empty()
}

/// What happened to the leader that was killed.
fn crashes(outcomes: &[Outcome]) -> String {
    let crash = |outcome: &Outcome| {
        outcome.crash.as_ref().map(|crash| {
            format!(
                " node {}, leader of {}-0, was killed (-9) when {} of {} rows were sent; all were \
                 acknowledged {:.2} s later, and it stayed dead",
                crash.node,
                outcome.topic,
                crash.sent,
                outcome.produced,
                crash.until_done.as_secs_f64()
            )
        })
    };
    outcomes.iter().filter_map(crash).collect::<Vec<_>>().join("\n")
}

/// A table of this many columns whose numbers, from `from` on, stand to the right.
fn table<const N: usize>(header: [String; N], from: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What the other languages read, and which were left out.
fn languages(outcomes: &[Outcome], readings: &[Reading], left_out: &[String]) {
    let topic = outcomes.last().map(|outcome| outcome.topic.as_str()).unwrap_or_default();
    if !readings.is_empty() {
        let header = ["read once more", topic, "lost", "duplicated", "counts", "time"];
        let mut table = table(header.map(str::to_owned), 1);
        for Reading { language, compared } in readings {
            let Ok(compared) = compared else {
                table.add_row([language.as_str(), "failed"]);
                continue;
            };
            table.add_row([
                compared.version.clone(),
                format!("{} rows", compared.records),
                compared.lost.to_string(),
                compared.duplicated.to_string(),
                if compared.counts_equal { "equal" } else { "differ" }.to_owned(),
                format!("{:.2} s", compared.seconds),
            ]);
        }
        println!("\n{table}");
    }
    for pair in left_out.chunks(2) {
        if let [language, reason] = pair {
            println!("\n {language} did not read {topic}: {reason}");
        }
    }
}

fn keys(input: &Input, outcome: &Outcome) -> String {
    let flights = !input.labels.is_empty();
    let mean = input.mean.as_ref().map(|(_, name)| if flights { "delay" } else { name });
    let header = [
        input.key_column.clone(),
        if flights { "airline".to_owned() } else { String::new() },
        if flights { "departures".to_owned() } else { "rows".to_owned() },
        mean.map(|mean| format!("mean {mean}")).unwrap_or_default(),
    ];
    let mut table = table(header, 2);
    let mut tallies: Vec<_> = outcome.tallies.iter().collect();
    tallies.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.rows));
    for (key, tally) in tallies.iter().take(KEYS_SHOWN) {
        let key = String::from_utf8_lossy(key).into_owned();
        let label = input.labels.get(&key).cloned().unwrap_or_default();
        let unit = if flights { " min" } else { "" };
        let mean = if tally.numbers > 0 {
            format!("{:.1}{unit}", tally.sum / tally.numbers as f64)
        } else {
            String::new()
        };
        table.add_row([key, label, tally.rows.to_string(), mean]);
    }
    let hidden = tallies.len().saturating_sub(KEYS_SHOWN);
    if hidden > 0 { format!("{table}\n ... and {hidden} more keys") } else { table.to_string() }
}

fn codecs(input: &Input, outcomes: &[Outcome]) -> String {
    let header = ["codec", "stored", "ratio", "batches", "produced", "consumed"].map(str::to_owned);
    let mut table = table(header, 1);
    let payload = input.payload_bytes() as f64;
    for outcome in outcomes {
        let rate = |count: u64, time: Duration| {
            format!("{:.0} k rows/s", count as f64 / time.as_secs_f64() / 1e3)
        };
        table.add_row([
            outcome.codec.to_string(),
            format!("{:.2} MB", outcome.stored.bytes as f64 / 1e6),
            format!("{:.2}", payload / outcome.stored.bytes as f64),
            outcome.stored.batches.to_string(),
            rate(outcome.produced, outcome.producing),
            rate(outcome.consumed, outcome.consuming),
        ]);
    }
    table.to_string()
}
