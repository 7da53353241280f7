//! FindCoordinator (key 10), versions 0 to 6.
//!
//! One key before version 4, several from it, each with its own error (CG-23). The coordinator of a
//! group is the leader of its partition of `__consumer_offsets`, which is made when it is first
//! asked for; 15 until it has a leader. Transactions (type 1) and share groups (type 2) have no
//! coordinator here: 42.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::find_coordinator::Coordinator;
use ottla_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::{ApiError, RequestContext};
use crate::broker::topics;
use crate::coordinator::OFFSETS_TOPIC;

/// From here on there are several keys in a request.
const KEYS_SINCE: i16 = 4;
/// The type of a group's key.
const GROUP: i8 = 0;

/// Where a coordinator is.
struct Node {
    id: i32,
    host: String,
    port: i32,
}

pub(crate) async fn handle(
    context: &RequestContext,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if context.api_version < KEYS_SINCE {
        let found = find(context, request.key_type, &request.key).await;
        return single_response(found);
    }
    let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
    for key in request.coordinator_keys {
        let found = find(context, request.key_type, &key).await;
        coordinators.push(coordinator(key, found));
    }
    FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }
}

async fn find(context: &RequestContext, key_type: i8, key: &str) -> Result<Node, ApiError> {
    if key_type != GROUP {
        let message = format!("this broker has no coordinators of key type {key_type}");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let broker = &context.broker;
    let unavailable = |why: &str| {
        let message = format!("The coordinator is not available: {why}.");
        ApiError::new(ErrorCode::CoordinatorNotAvailable, message)
    };
    let known = broker.image().topics.get(OFFSETS_TOPIC).cloned();
    let topic = match known {
        Some(topic) => topic,
        None => topics::auto_create(broker, OFFSETS_TOPIC)
            .await
            .map_err(|error| unavailable(&error.message))?,
    };
    let index = broker.coordinator().partition_for(key);
    if broker.partitions().is_offline(topic.id, index) {
        return Err(unavailable("the log of its partition is damaged"));
    }
    let partition = usize::try_from(index).expect("invariant: partitions are not negative");
    let leader = topic
        .partitions
        .get(partition)
        .map(|partition| partition.leader)
        .ok_or_else(|| unavailable("its partition is not there yet"))?;
    let image = broker.image();
    let node =
        image.brokers.get(&leader).ok_or_else(|| unavailable("its partition has no leader"))?;
    Ok(Node { id: leader, host: node.host.clone(), port: i32::from(node.port) })
}

/// Before version 4. Success has Kafka's text, which is the name of error 0.
fn single_response(found: Result<Node, ApiError>) -> FindCoordinatorResponse {
    match found {
        Ok(node) => FindCoordinatorResponse {
            error_message: Some(ErrorCode::None.name().to_owned()),
            node_id: node.id,
            host: node.host,
            port: node.port,
            ..FindCoordinatorResponse::default()
        },
        Err(error) => FindCoordinatorResponse {
            error_code: error.code.code(),
            error_message: Some(error.message),
            node_id: -1,
            port: -1,
            ..FindCoordinatorResponse::default()
        },
    }
}

fn coordinator(key: String, found: Result<Node, ApiError>) -> Coordinator {
    match found {
        Ok(node) => Coordinator {
            key,
            node_id: node.id,
            host: node.host,
            port: node.port,
            ..Coordinator::default()
        },
        Err(error) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.code.code(),
            error_message: Some(error.message),
            ..Coordinator::default()
        },
    }
}
