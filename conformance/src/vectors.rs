//! The vectors of `protocol/vectors`, for examples.

use crate::codec::unhex;
use flate2::read::GzDecoder;
use ottla_protocol::Bytes;
use std::io::Read;
use std::sync::OnceLock;

const MESSAGES: &[u8] = include_bytes!("../../protocol/vectors/messages.tsv.gz");
/// The variants that tell most, the best first.
const VARIANTS: [&str; 3] = ["filled", "edge", "defaults"];

/// The bytes of a message in this version as Apache Kafka writes it, with its fields filled if
/// there is such a vector.
pub fn example(name: &str, version: i16) -> Option<Bytes> {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| {
        let mut text = String::new();
        GzDecoder::new(MESSAGES).read_to_string(&mut text).expect("the vectors are text");
        text
    });
    let version = version.to_string();
    let of_message = text.lines().filter_map(|line| {
        let mut columns = line.split('\t').skip(1);
        let (found, _kind) = (columns.next()?, columns.next()?);
        let is_it = found == name && columns.next()? == version;
        if is_it { Some((columns.next()?, columns.next()?)) } else { None }
    });
    let of_message: Vec<(&str, &str)> = of_message.collect();
    let best = VARIANTS.iter().find_map(|variant| {
        of_message.iter().find(|(found, _)| found == variant).map(|(_, hex)| *hex)
    });
    unhex(best?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_examples() {
        let filled = example("MetadataRequest", 12).expect("a vector");
        assert!(filled.len() > 20, "{filled:?}");
        assert_eq!(example("MetadataRequest", 99), None);
        assert_eq!(example("NoRequest", 0), None);
    }
}
