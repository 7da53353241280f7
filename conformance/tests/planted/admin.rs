//! Faults of the admin profile.

use super::change::Change;
use super::{Planted, instead, planted};
use ottla_protocol::Uuid;
use ottla_protocol::messages::{ApiKey, Response};

type CreateTopics = ottla_protocol::messages::create_topics::CreateTopicsResponse;
type DeleteTopics = ottla_protocol::messages::delete_topics::DeleteTopicsResponse;
type CreatePartitions = ottla_protocol::messages::create_partitions::CreatePartitionsResponse;
type DescribeConfigs = ottla_protocol::messages::describe_configs::DescribeConfigsResponse;
type Alter = ottla_protocol::messages::incremental_alter_configs::IncrementalAlterConfigsResponse;
type DeleteRecords = ottla_protocol::messages::delete_records::DeleteRecordsResponse;
type Cluster = ottla_protocol::messages::describe_cluster::DescribeClusterResponse;

/// Topics, partitions and their records; the cluster.
pub(crate) fn topics() -> Vec<Planted> {
    vec![
        planted!(
            "create-topics/numbers@v5",
            "K-CREATE-TOPICS-003",
            CreateTopics,
            Some(5),
            |a: &mut CreateTopics| {
                a.topics.iter_mut().for_each(|one| instead(&mut one.error_code, 37, 0));
            }
        ),
        planted!(
            "create-topics/what-is-told@v7",
            "K-CREATE-TOPICS-021",
            CreateTopics,
            Some(7),
            |a: &mut CreateTopics| {
                a.topics.iter_mut().for_each(|one| one.topic_id = Uuid([0x11; 16]));
            }
        ),
        planted!(
            "delete-topics/unknown@v4",
            "K-DELETE-TOPICS-002",
            DeleteTopics,
            Some(4),
            |a: &mut DeleteTopics| {
                a.responses.iter_mut().for_each(|one| instead(&mut one.error_code, 3, 0));
            }
        ),
        planted!(
            "create-partitions/refused@v2",
            "K-CREATE-PARTITIONS-001",
            CreatePartitions,
            Some(2),
            |a: &mut CreatePartitions| {
                a.results.iter_mut().for_each(|one| instead(&mut one.error_code, 37, 0));
            }
        ),
        planted!(
            "delete-records/start-moves@v1",
            "K-DELETE-RECORDS-003",
            DeleteRecords,
            Some(1),
            |a: &mut DeleteRecords| {
                let all = a.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
                all.for_each(|one| one.low_watermark += 1);
            }
        ),
        planted!(
            "describe-cluster/is-that-of-metadata@v1",
            "K-DESCRIBE-CLUSTER-002",
            DescribeCluster,
            Some(1),
            |a: &mut Cluster| a.brokers.iter_mut().for_each(|broker| broker.broker_id += 1)
        ),
    ]
}

/// Settings.
pub(crate) fn settings() -> Vec<Planted> {
    vec![
        planted!(
            "describe-configs/of-a-topic@v2",
            "K-DESCRIBE-CONFIGS-008",
            DescribeConfigs,
            Some(2),
            // What is set on a topic looks like a default.
            |a: &mut DescribeConfigs| {
                let all = a.results.iter_mut().flat_map(|one| &mut one.configs);
                all.for_each(|one| one.config_source = 5);
            }
        ),
        planted!(
            "describe-configs/synonyms@v3",
            "K-DESCRIBE-CONFIGS-003",
            DescribeConfigs,
            Some(3),
            |a: &mut DescribeConfigs| {
                let all = a.results.iter_mut().flat_map(|one| &mut one.configs);
                all.for_each(|one| one.synonyms.reverse());
            }
        ),
        planted!(
            "incremental-alter-configs/refused@v1",
            "K-INCREMENTAL-ALTER-CONFIGS-006",
            IncrementalAlterConfigs,
            Some(1),
            |a: &mut Alter| {
                a.responses.iter_mut().for_each(|one| instead(&mut one.error_code, 42, 0));
            }
        ),
    ]
}
