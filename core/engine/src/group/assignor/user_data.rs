//! What the sticky assignors write into the user data of a subscription, byte for byte as Apache
//! Kafka's Java client does: classic fields, big endian, without a version in front.
//!
//! - `sticky` v1: array of (topic string, array of int32 partition), int32 generation;
//!   v0 has no generation.
//! - `cooperative-sticky` v0: int32 generation (the owned partitions are in the subscription).

use std::collections::BTreeMap;
use std::sync::Arc;

use nom::IResult;
use nom::bytes::complete::take;
use nom::multi::count;
use nom::number::complete::{be_i16, be_i32};
use ottla_protocol::Bytes;

use super::{NO_GENERATION, Subscriber};
use crate::group::TopicPartition;

/// What a member owned, and since which generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickyState {
    /// The partitions of its last assignment.
    pub owned: Vec<TopicPartition>,
    /// The generation of that assignment, or [`NO_GENERATION`].
    pub generation: i32,
}

/// The user data of `sticky` (version 1).
pub fn sticky_user_data(owned: &[TopicPartition], generation: i32) -> Bytes {
    let mut by_topic: BTreeMap<&Arc<str>, Vec<i32>> = BTreeMap::new();
    for partition in owned {
        by_topic.entry(&partition.topic).or_default().push(partition.partition);
    }
    let mut out = Vec::new();
    out.extend((by_topic.len() as i32).to_be_bytes());
    for (topic, partitions) in by_topic {
        out.extend((topic.len() as i16).to_be_bytes());
        out.extend(topic.as_bytes());
        out.extend((partitions.len() as i32).to_be_bytes());
        partitions.iter().for_each(|p| out.extend(p.to_be_bytes()));
    }
    out.extend(generation.to_be_bytes());
    out.into()
}

/// The user data of `cooperative-sticky` (version 0).
pub fn cooperative_user_data(generation: i32) -> Bytes {
    Bytes::copy_from_slice(&generation.to_be_bytes())
}

/// `sticky` revokes everything before it joins, so only the user data knows what was owned.
/// Data that cannot be read counts as none, as in the Java client.
pub(super) fn sticky_state(member: &Subscriber) -> StickyState {
    let none = StickyState { owned: Vec::new(), generation: NO_GENERATION };
    let Some(data) = &member.user_data else { return none };
    match topic_partitions(data) {
        Ok((rest, owned)) => {
            let generation = be_i32::<_, nom::error::Error<&[u8]>>(rest);
            StickyState { owned, generation: generation.map_or(NO_GENERATION, |(_, g)| g) }
        }
        Err(_) => none,
    }
}

/// The subscription's own fields (v1, v2); its generation from the user data below v2.
pub(super) fn cooperative_state(member: &Subscriber) -> StickyState {
    let mut generation = member.generation;
    if generation == NO_GENERATION
        && let Some(data) = &member.user_data
        && let Ok((_, from_data)) = be_i32::<_, nom::error::Error<&[u8]>>(&data[..])
    {
        generation = from_data;
    }
    StickyState { owned: member.owned.clone(), generation }
}

fn length(input: &[u8], value: i64, least_bytes: usize) -> Result<usize, nom::Err<Failed<'_>>> {
    // Never trust a length: nothing is allocated beyond what the rest could hold.
    usize::try_from(value)
        .ok()
        .filter(|n| n.saturating_mul(least_bytes) <= input.len())
        .ok_or_else(|| nom::Err::Error(Failed::new(input, nom::error::ErrorKind::Count)))
}

type Failed<'a> = nom::error::Error<&'a [u8]>;

fn topic_partitions(input: &[u8]) -> IResult<&[u8], Vec<TopicPartition>> {
    let (mut input, topics) = be_i32(input)?;
    let topics = length(input, topics.into(), 6)?;
    let mut all = Vec::new();
    for _ in 0..topics {
        let (rest, size) = be_i16(input)?;
        let (rest, name) = take(length(rest, size.into(), 1)?)(rest)?;
        let name = std::str::from_utf8(name)
            .map_err(|_| nom::Err::Error(Failed::new(rest, nom::error::ErrorKind::Char)))?;
        let (rest, partitions) = be_i32(rest)?;
        let (rest, numbers) = count_of(rest, partitions)?;
        let topic: Arc<str> = name.into();
        all.extend(numbers.into_iter().map(|p| TopicPartition::new(topic.clone(), p)));
        input = rest;
    }
    Ok((input, all))
}

fn count_of(input: &[u8], partitions: i32) -> IResult<&[u8], Vec<i32>> {
    use nom::Parser;
    count(be_i32, length(input, partitions.into(), 4)?).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(user_data: Option<&[u8]>) -> Subscriber {
        Subscriber {
            generation: NO_GENERATION,
            user_data: user_data.map(Bytes::copy_from_slice),
            ..Subscriber::default()
        }
    }

    #[test]
    fn sticky_user_data_is_that_of_the_java_client() {
        let owned = [TopicPartition::new("t", 1), TopicPartition::new("t", 2)];
        let data = sticky_user_data(&owned, 7);
        let expected: &[u8] =
            &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 7];
        assert_eq!(&data[..], expected);
        let state = sticky_state(&member(Some(expected)));
        assert_eq!(state, StickyState { owned: owned.to_vec(), generation: 7 });
        let v0 = sticky_state(&member(Some(&expected[..expected.len() - 4])));
        assert_eq!(v0, StickyState { owned: owned.to_vec(), generation: NO_GENERATION });
    }

    #[test]
    fn sticky_user_data_that_lies_about_lengths_counts_as_none() {
        let lies: [&[u8]; 3] = [
            &[0x7f, 0xff, 0xff, 0xff],
            &[0, 0, 0, 1, 0x7f, 0xff, b't'],
            &[0, 0, 0, 1, 0, 1, b't', 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1],
        ];
        for data in lies {
            assert_eq!(sticky_state(&member(Some(data))).owned, []);
        }
    }
}
