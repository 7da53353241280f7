//! DescribeCluster (key 60), versions 0 to 2. Endpoint type 1 (brokers) only: the listener between
//! nodes serves no clients (KIP-919). Fenced brokers from version 2 on, where they are asked for.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_cluster::DescribeClusterBroker;
use ottla_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

use super::RequestContext;
use super::metadata::CLUSTER_OPERATIONS;

const ENDPOINT_BROKERS: i8 = 1;
const ENDPOINT_CONTROLLERS: i8 = 2;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let refused = |code: ErrorCode, message: &str| DescribeClusterResponse {
        error_code: code.code(),
        error_message: Some(message.into()),
        ..DescribeClusterResponse::default()
    };
    match request.endpoint_type {
        ENDPOINT_BROKERS => {}
        ENDPOINT_CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an \
                           endpoint of type CONTROLLER";
            return refused(ErrorCode::MismatchedEndpointType, message);
        }
        _ => return refused(ErrorCode::UnsupportedEndpointType, "Unsupported endpoint type"),
    }
    let broker = &context.broker;
    let image = broker.image();
    let described = |(id, registered): (&i32, &crate::quorum::BrokerImage)| DescribeClusterBroker {
        broker_id: *id,
        host: registered.host.clone(),
        port: i32::from(registered.port),
        rack: registered.rack.clone(),
        is_fenced: registered.fenced,
        ..DescribeClusterBroker::default()
    };
    DescribeClusterResponse {
        endpoint_type: ENDPOINT_BROKERS,
        cluster_id: broker.cluster_id().to_owned(),
        controller_id: broker.controller_id(),
        brokers: image
            .brokers
            .iter()
            .filter(|(_, broker)| request.include_fenced_brokers || !broker.fenced)
            .map(described)
            .collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => i32::MIN,
        },
        ..DescribeClusterResponse::default()
    }
}
