//! DescribeLogDirs (key 35), versions 0 to 5: the data folders of this broker and the bytes of each
//! log in them.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use super::RequestContext;
use crate::log::{LogDir, TopicPartition};

/// What the client asks for; none is everything.
type Wanted = Option<BTreeSet<TopicPartition>>;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let wanted: Wanted = request.topics.map(|topics| {
        let of = |topic: &str, index: &i32| TopicPartition::new(topic, *index);
        let each = topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |index| of(&topic.topic, index)));
        each.collect()
    });
    let manager = context.broker.partitions().manager();
    let failed = manager.failed_dirs();
    let is_failed = |dir: &LogDir| failed.iter().any(|(path, _)| path == dir.path());
    let working = manager.log_dirs().filter(|dir| !is_failed(dir));
    let offline = failed.iter().map(|(path, _)| DescribeLogDirsResult {
        error_code: ErrorCode::KafkaStorageError.code(),
        log_dir: path.display().to_string(),
        ..DescribeLogDirsResult::default()
    });
    let results = working.map(|dir| describe(dir, &wanted)).chain(offline).collect();
    DescribeLogDirsResponse { results, ..DescribeLogDirsResponse::default() }
}

fn describe(dir: &LogDir, wanted: &Wanted) -> DescribeLogDirsResult {
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (of, size) in dir.sizes() {
        if wanted.as_ref().is_none_or(|wanted| wanted.contains(&of)) {
            topics.entry(of.topic).or_default().push(DescribeLogDirsPartition {
                partition_index: of.partition,
                partition_size: i64::try_from(size).unwrap_or(i64::MAX),
                // Only a copy that is being made in another dir can lag, and there are none.
                offset_lag: 0,
                is_future_key: false,
                ..DescribeLogDirsPartition::default()
            });
        }
    }
    let topic = |(name, partitions)| DescribeLogDirsTopic {
        name,
        partitions,
        ..DescribeLogDirsTopic::default()
    };
    let space = dir.storage().space(dir.path());
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (total_bytes, usable_bytes) =
        space.map_or((-1, -1), |(total, usable)| (bytes(total), bytes(usable)));
    DescribeLogDirsResult {
        error_code: ErrorCode::None.code(),
        log_dir: dir.path().display().to_string(),
        topics: topics.into_iter().map(topic).collect(),
        total_bytes,
        usable_bytes,
        ..DescribeLogDirsResult::default()
    }
}
