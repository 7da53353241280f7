//! OffsetDelete (key 47), version 0: forgets positions of partitions whose topic no member of the
//! group subscribes to (86 where one does, OC-12).

use std::collections::HashMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::RequestContext;
use crate::coordinator::TopicResolver;

pub(crate) async fn handle(
    context: &RequestContext,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let broker = &context.broker;
    let mut known: Vec<(String, Vec<i32>)> = Vec::new();
    for topic in &request.topics {
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        let here = indexes.filter(|index| broker.has_partition(&topic.name, *index));
        known.push((topic.name.clone(), here.collect()));
    }
    let results = match broker.coordinator().delete_offsets(&request.group_id, &known).await {
        Ok(results) => results,
        Err(error) => {
            return OffsetDeleteResponse { error_code: error.code(), ..Default::default() };
        }
    };
    let errors: HashMap<(usize, i32), ErrorCode> =
        results.iter().map(|result| ((result.topic, result.partition), result.error)).collect();
    let topics = request.topics.into_iter().enumerate().map(|(at, topic)| {
        let partition = |index: i32| OffsetDeleteResponsePartition {
            partition_index: index,
            error_code: errors
                .get(&(at, index))
                .map_or(ErrorCode::UnknownTopicOrPartition.code(), |error| error.code()),
        };
        let partitions = topic.partitions.iter().map(|one| partition(one.partition_index));
        OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
    });
    OffsetDeleteResponse { topics: topics.collect(), ..Default::default() }
}
