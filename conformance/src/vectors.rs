//! The vectors of `protocol/vectors`, for examples.

use crate::codec::unhex;
use flate2::read::GzDecoder;
use ottla_protocol::Bytes;
use std::io::Read;
use std::ops::RangeInclusive;
use std::sync::OnceLock;

const MESSAGES: &[u8] = include_bytes!("../../protocol/vectors/messages.tsv.gz");
/// The bytes of a message as Apache Kafka writes it, and their version: of these versions the
/// newest whose fields are filled, else the newest of another kind.
pub fn example(name: &str, versions: RangeInclusive<i16>) -> Option<(i16, Bytes)> {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| {
        let mut text = String::new();
        GzDecoder::new(MESSAGES).read_to_string(&mut text).expect("the vectors are text");
        text
    });
    let of_message = text.lines().filter_map(|line| {
        let mut columns = line.split('\t').skip(1);
        let (found, _kind) = (columns.next()?, columns.next()?);
        let version: i16 = columns.next()?.parse().ok()?;
        let (variant, hex) = (columns.next()?, columns.next()?);
        let is_plain = matches!(variant, "filled" | "edge" | "defaults");
        let is_one = found == name && is_plain && versions.contains(&version);
        is_one.then_some((variant == "filled", version, hex))
    });
    let (_, version, hex) = of_message.max_by_key(|(filled, version, _)| (*filled, *version))?;
    Some((version, unhex(hex).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_examples() {
        let (version, filled) = example("MetadataRequest", 0..=12).expect("a vector");
        assert!(version >= 9 && filled.len() > 20, "{version} {filled:?}");
        assert_eq!(example("MetadataRequest", 99..=99), None);
        assert_eq!(example("NoRequest", 0..=99), None);
    }
}
