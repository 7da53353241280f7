//! What a wrong name may have meant.

use super::{ConfigError, SETTINGS};

/// Names that other Kafka clients have, and what to do here. A name that ends with a dot stands for
/// all that start with it.
const ELSEWHERE: &[(&str, &str)] = &[
    ("metadata.broker.list", "it is called bootstrap.servers"),
    ("request.required.acks", "it is called acks"),
    ("queue.buffering.max.ms", "it is called linger.ms"),
    ("queue.buffering.max.kbytes", "it is called buffer.memory, in bytes"),
    ("message.max.bytes", "it is called max.request.size"),
    ("message.timeout.ms", "it is called delivery.timeout.ms"),
    ("message.send.max.retries", "it is called retries"),
    ("compression.codec", "it is called compression.type"),
    ("max.in.flight", "it is called max.in.flight.requests.per.connection"),
    ("topic.metadata.refresh.interval.ms", "it is called metadata.max.age.ms"),
    ("partitioner.class", "choose by partitioner, or give the builder a partitioner of your own"),
    ("key.serializer", "keys and values are bytes, serialize them before you send"),
    ("value.serializer", "keys and values are bytes, serialize them before you send"),
    ("key.deserializer", "keys and values are bytes, deserialize them when you have them"),
    ("value.deserializer", "keys and values are bytes, deserialize them when you have them"),
    ("max.poll.records", "records come in the producer's batches, see max.partition.fetch.bytes"),
    ("enable.auto.offset.store", "what was finished is committed, not what was handed over"),
    ("client.dns.lookup", "every address that a name resolves to is tried in turn"),
    ("group.protocol", "this version speaks the classic group protocol only"),
    ("group.remote.assignor", "this version speaks the classic group protocol only"),
    ("transactional.id", "this version has no transactions"),
    ("transaction.timeout.ms", "this version has no transactions"),
    ("security.protocol", "this version connects in plain text only"),
    ("interceptor.classes", "this version has no interceptors"),
    ("metric.reporters", "this version reports no metrics"),
    ("sasl.", "this version connects without authentication"),
    ("ssl.", "this version connects in plain text only"),
];

/// The error for a name that the table does not have.
pub(super) fn unknown(name: &str) -> ConfigError {
    let elsewhere = ELSEWHERE
        .iter()
        .find(|(other, _)| *other == name || (other.ends_with('.') && name.starts_with(other)));
    match elsewhere {
        Some((_, instead)) => ConfigError::Elsewhere { name: name.to_owned(), instead },
        None => ConfigError::Unknown { name: name.to_owned(), nearest: nearest(name) },
    }
}

/// The known name that takes the fewest edits, if it takes at most a third of its length. Case and
/// separators do not count, so that `lingerMs` and `linger_ms` find `linger.ms`.
fn nearest(name: &str) -> Option<&'static str> {
    let wanted = letters(name);
    SETTINGS
        .iter()
        .map(|setting| (edits(&wanted, &letters(setting.name)), setting.name))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, known)| *edits * 3 <= known.len())
        .map(|(_, known)| known)
}

fn letters(name: &str) -> Vec<char> {
    let kept = name.chars().filter(|letter| letter.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

/// Levenshtein's distance, a swap of neighbours counting as one edit.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            next[j] = (row[j] + 1).min(next[j - 1] + 1).min(row[j - 1] + change);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                next[j] = next[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}
