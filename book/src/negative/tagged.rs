//! Faults in tagged sections.

use super::Verdict;
use super::faults::Maker;
use super::parts::{Part, What};

/// A tag that no schema has; those of the vectors with unknown tags are others.
const UNKNOWN: u8 = 100;

/// The rows of a message.
pub(super) fn faults(maker: &mut Maker<'_>) {
    section(maker);
    known(maker);
    twice(maker);
}

/// Faults in the message's own section, where nothing follows it and it is empty.
fn section(maker: &mut Maker<'_>) {
    let last = maker.parts.last().filter(|part| {
        part.what == What::TagCount && part.length == Some(0) && part.field == "tagged_fields"
    });
    let Some((start, end)) = last.map(|part| (part.start, part.end)) else { return };
    let tag = format!("<tag {UNKNOWN}>");
    let refused: [(&'static str, &[u8], usize, &str, &str); 5] = [
        (
            "tag-beyond-the-end",
            &[1, UNKNOWN, 5, 0xaa],
            start + 3,
            &tag,
            "a tagged field of 5 bytes, of which 1 is there (GRAMMAR 4.2)",
        ),
        (
            "tags-beyond-the-end",
            &[0x7f, UNKNOWN, 0],
            start,
            "",
            "127 tagged fields in two bytes (GRAMMAR 4.2)",
        ),
        (
            "cut-in-a-tag",
            &[1, UNKNOWN, 0x80],
            start + 2,
            "",
            "the bytes end inside the size of a tagged field (GRAMMAR 4.2)",
        ),
        (
            "tag-too-long",
            &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0],
            start + 1,
            "",
            "a tag of six bytes (GRAMMAR 4.1)",
        ),
        (
            "tag-huge",
            &[1, UNKNOWN, 0xfe, 0xff, 0xff, 0xff, 0x07],
            start + 7,
            &tag,
            "a tagged field of 2 GiB (GRAMMAR 4.2)",
        ),
    ];
    for (case, (name, by, offset, field, why)) in refused.into_iter().enumerate() {
        if maker.turn(case) {
            let bytes = maker.replaced(start, end, by);
            maker.push(name, bytes, Verdict::refuse(offset, field), why);
        }
    }
    let taken: [(&'static str, &[u8], &str); 3] = [
        (
            "tags-descending",
            &[2, UNKNOWN + 1, 1, 0xaa, UNKNOWN, 1, 0xbb],
            "tags may come in any order (GRAMMAR 4.2)",
        ),
        (
            "tag-twice",
            &[2, UNKNOWN, 1, 0xaa, UNKNOWN, 1, 0xbb],
            "an unknown tag that comes twice: nothing forbids it (GRAMMAR 4.2)",
        ),
        ("tag-of-no-bytes", &[1, UNKNOWN, 0], "an unknown tag whose field is empty (GRAMMAR 4.2)"),
    ];
    for (case, (name, by, why)) in taken.into_iter().enumerate() {
        if maker.turn(case + 1) {
            let bytes = maker.replaced(start, end, by);
            maker.push(name, bytes, Verdict::Accept, why);
        }
    }
}

/// The size of a known tag's field is that of its value.
fn known(maker: &mut Maker<'_>) {
    let is_known = |part: &Part| {
        part.known.is_some()
            && part.data == part.size_at + 1
            && part.length.is_some_and(|n| n < 0x7e)
    };
    let Some(tag) = maker.first(is_known) else { return };
    let (Some(field), Some(size)) = (tag.known.clone(), tag.length) else { return };
    let size = size as u8;
    if tag.end < maker.vector.bytes.len() {
        let bytes = maker.replaced(tag.size_at, tag.data, &[size + 1]);
        let why = "a known tag whose size is a byte more than its value (irregularity 12)";
        maker.push("tag-size-too-large", bytes, Verdict::refuse(tag.end, &field), why);
    }
    // Where the value is one number or string, it is the one that ends early.
    let inner: Vec<Part> =
        maker.parts.iter().filter(|p| p.start >= tag.data && p.end <= tag.end).cloned().collect();
    if let [value] = &inner[..]
        && value.start == tag.data
        && size > 0
    {
        let at = match value.what {
            What::String | What::Bytes => value.data,
            What::Fixed(_) | What::Uuid | What::Bool => value.start,
            _ => return,
        };
        let bytes = maker.replaced(tag.size_at, tag.data, &[size - 1]);
        let why = "a known tag whose size is a byte less than its value (irregularity 12)";
        maker.push("tag-size-too-small", bytes, Verdict::refuse(at, field), why);
    }
}

/// A known tag that comes twice: the later value is kept.
fn twice(maker: &mut Maker<'_>) {
    let pairs = maker.parts.windows(2);
    let found = pairs.map(|pair| (&pair[0], &pair[1])).find(|(count, tag)| {
        count.what == What::TagCount
            && tag.known.is_some()
            && !count.in_tag
            && count.length.is_some_and(|count| count < 0x7f)
    });
    let Some((count, tag)) = found.map(|(count, tag)| (count.clone(), tag.clone())) else { return };
    let bytes = &maker.vector.bytes;
    let more = count.length.unwrap_or_default() as u8 + 1;
    let twice = [&[more][..], &bytes[tag.start..tag.end], &bytes[tag.start..tag.end]].concat();
    let bytes = maker.replaced(count.start, tag.end, &twice);
    let why = "a known tag that comes twice: nothing forbids it, the later counts (GRAMMAR 4.2)";
    maker.push("known-tag-twice", bytes, Verdict::Accept, why);
}
