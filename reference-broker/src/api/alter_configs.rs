//! AlterConfigs (key 33), versions 0 to 2: the settings of the request in place of all that the
//! resource had; what is not named goes back to its default (AD-10).

use ottla_protocol::messages::alter_configs::{AlterConfigsResource, AlterConfigsResourceResponse};
use ottla_protocol::messages::incremental_alter_configs as incremental;
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::RequestContext;
use super::incremental_alter_configs::{Base, alter_all};

pub(crate) async fn handle(
    context: &RequestContext,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let change = |resource: &AlterConfigsResource| incremental::AlterConfigsResource {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        configs: resource
            .configs
            .iter()
            .map(|config| incremental::AlterableConfig {
                name: config.name.clone(),
                value: config.value.clone(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    let resources: Vec<_> = request.resources.iter().map(change).collect();
    let outcomes =
        alter_all(&context.broker, &resources, Base::Nothing, request.validate_only).await;
    let response = |(resource, outcome): (AlterConfigsResource, Result<(), super::ApiError>)| {
        let (error_code, error_message) = super::code_and_message(outcome);
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            ..Default::default()
        }
    };
    let responses = request.resources.into_iter().zip(outcomes).map(response).collect();
    AlterConfigsResponse { responses, ..Default::default() }
}
