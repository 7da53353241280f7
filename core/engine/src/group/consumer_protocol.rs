//! What the members of a consumer group tell each other: subscription to the leader, assignment
//! back. The coordinator passes both on as they are.
//!
//! Both start with an int16 version. A reader takes the fields that it knows of a higher version,
//! since later versions only append (KIP-429, KIP-792, KIP-881); so these are the only messages
//! of which trailing bytes are no error.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription, ConsumerProtocolSubscriptionTopicPartition,
};
use ottla_protocol::{Bytes, DecodeError, EncodeError, Encoder, Message};

use super::TopicPartition;
use super::assignor::Subscriber;

/// The version that is written, the highest that Apache Kafka 4.3 knows.
const WRITTEN_VERSION: i16 = 3;
/// `protocol_type` of a consumer group in JoinGroup.
pub const PROTOCOL_TYPE: &str = "consumer";

/// The bytes of one member's subscription.
pub fn encode_subscription(member: &Subscriber) -> Result<Bytes, EncodeError> {
    let owned = by_topic(&member.owned);
    let message = ConsumerProtocolSubscription {
        topics: member.topics.iter().map(ToString::to_string).collect(),
        user_data: member.user_data.clone(),
        owned_partitions: owned
            .into_iter()
            .map(|(topic, partitions)| ConsumerProtocolSubscriptionTopicPartition {
                topic: topic.to_string(),
                partitions,
            })
            .collect(),
        generation_id: member.generation,
        ..Default::default()
    };
    encode(&message)
}

/// Reads a member's subscription; the ids are the caller's, as JoinGroup carries them apart.
pub fn decode_subscription(
    member_id: String,
    instance_id: Option<String>,
    metadata: &Bytes,
) -> Result<Subscriber, DecodeError> {
    let message: ConsumerProtocolSubscription = decode(metadata)?;
    Ok(Subscriber {
        member_id,
        instance_id,
        topics: message.topics.into_iter().map(Arc::from).collect(),
        owned: flatten(message.owned_partitions.into_iter().map(|t| (t.topic, t.partitions))),
        generation: message.generation_id,
        user_data: message.user_data,
    })
}

/// The bytes of one member's assignment.
pub fn encode_assignment(partitions: &[TopicPartition]) -> Result<Bytes, EncodeError> {
    let message = ConsumerProtocolAssignment {
        assigned_partitions: by_topic(partitions)
            .into_iter()
            .map(|(topic, partitions)| ConsumerProtocolAssignmentTopicPartition {
                topic: topic.to_string(),
                partitions,
            })
            .collect(),
        ..Default::default()
    };
    encode(&message)
}

/// Reads an assignment. No bytes at all mean no partitions: so a coordinator answers a member
/// for which the leader gave nothing.
pub fn decode_assignment(assignment: &Bytes) -> Result<Vec<TopicPartition>, DecodeError> {
    if assignment.is_empty() {
        return Ok(Vec::new());
    }
    let message: ConsumerProtocolAssignment = decode(assignment)?;
    Ok(flatten(message.assigned_partitions.into_iter().map(|t| (t.topic, t.partitions))))
}

fn encode<M: Message>(message: &M) -> Result<Bytes, EncodeError> {
    let mut out = Encoder::new();
    out.put_slice(&WRITTEN_VERSION.to_be_bytes());
    message.encode(&mut out, WRITTEN_VERSION)?;
    Ok(out.into_bytes())
}

fn decode<M: Message>(bytes: &Bytes) -> Result<M, DecodeError> {
    let version = match bytes.get(..2) {
        Some(prefix) => i16::from_be_bytes([prefix[0], prefix[1]]),
        None => -1,
    };
    // Without a valid version there is nothing to read: an empty rest fails with the message's
    // name and the offset.
    let offset = if version < 0 { bytes.len() } else { 2 };
    let (message, _) = M::decode_prefix(bytes, offset, version.clamp(0, WRITTEN_VERSION))?;
    Ok(message)
}

fn by_topic(partitions: &[TopicPartition]) -> BTreeMap<&Arc<str>, Vec<i32>> {
    let mut topics: BTreeMap<&Arc<str>, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    topics.values_mut().for_each(|numbers| numbers.sort_unstable());
    topics
}

fn flatten(topics: impl Iterator<Item = (String, Vec<i32>)>) -> Vec<TopicPartition> {
    let mut all = Vec::new();
    for (topic, partitions) in topics {
        let topic: Arc<str> = topic.into();
        all.extend(partitions.into_iter().map(|p| TopicPartition::new(topic.clone(), p)));
    }
    all.sort();
    all
}
