//! Each version that is listed is served: a harmless request of every API in every version, whose
//! answer must parse as that version.

use crate::context::{Context, Step};
use crate::findings::Asserts;
use ottla_protocol::messages::fetch::FetchRequest;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::produce::ProduceRequest;
use ottla_protocol::messages::sasl_handshake::SaslHandshakeRequest;
use ottla_protocol::messages::{ApiKey, Request};
use std::collections::BTreeMap;

/// APIs that a request of defaults would change something with, or that close by design.
const LEFT_OUT: [(ApiKey, &str); 1] =
    [(ApiKey::SaslAuthenticate, "closes without a handshake before it")];

/// APIs whose request of defaults, or as [`harmless`] makes it, is known to change nothing. Another
/// may do harm: that of UnregisterBroker names broker 0.
pub(crate) const TRIED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::SaslHandshake,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::SaslAuthenticate,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::OffsetDelete,
    ApiKey::DescribeCluster,
    ApiKey::DescribeTopicPartitions,
];

/// A request that asks for nothing: no topics, no groups; where that cannot be, something unknown.
fn harmless(context: &mut Context<'_>, api: ApiKey, version: i16) -> Request {
    let name = context.name();
    match api {
        ApiKey::Fetch => Request::Fetch(Box::new(FetchRequest {
            max_wait_ms: 0,
            replica_id: -1,
            session_epoch: -1,
            ..FetchRequest::default()
        })),
        ApiKey::FindCoordinator => Request::FindCoordinator(Box::new(if version >= 4 {
            FindCoordinatorRequest { coordinator_keys: vec![name], ..Default::default() }
        } else {
            FindCoordinatorRequest { key: name, ..Default::default() }
        })),
        ApiKey::InitProducerId => Request::InitProducerId(Box::new(InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..Default::default()
        })),
        ApiKey::SaslHandshake => {
            Request::SaslHandshake(Box::new(SaslHandshakeRequest { mechanism: "NONE".to_owned() }))
        }
        // Its default, acks=0, has no answer.
        ApiKey::Produce => Request::Produce(Box::new(ProduceRequest {
            acks: -1,
            timeout_ms: 1_000,
            ..Default::default()
        })),
        ApiKey::Metadata => super::common::metadata_of(version, &[]),
        _ => Request::default_of(api),
    }
}

pub(crate) fn every_listed_version_is_served(context: &mut Context<'_>) -> Step {
    let mut broken: BTreeMap<String, String> = BTreeMap::new();
    let mut served = 0;
    for api in TRIED.iter().copied() {
        if LEFT_OUT.iter().any(|(left_out, _)| *left_out == api) {
            continue;
        }
        let Some(versions) = context.target().versions_of(api) else { continue };
        for version in versions {
            let request = harmless(context, api, version);
            let mut wire = context.connect()?;
            match wire.call(version, &request) {
                Ok(_) => served += 1,
                Err(why) => {
                    broken.insert(format!("{} v{version}", api.name()), why.to_string());
                }
            }
        }
    }
    let what: Vec<String> = broken.iter().map(|(api, why)| format!("{api}: {why}")).collect();
    context.must("K-API-VERSIONS-013", broken.is_empty(), || {
        format!("listed and not served, {} of them: {}", what.len(), what.join("; "))
    })?;
    context.must("K-API-VERSIONS-028", served > 0, || "nothing was served".to_owned())
}
