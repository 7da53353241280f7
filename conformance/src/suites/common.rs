//! Requests and questions that several suites need.

use crate::context::{Context, Step};
use ottla_protocol::messages::Request;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};

/// ApiVersions as version 0 has it, without a body.
pub(crate) fn api_versions() -> Request {
    Request::ApiVersions(Box::<ApiVersionsRequest>::default())
}

/// Metadata of these topics, none of which is to be created. In version 0 no names means all.
pub(crate) fn metadata_of(version: i16, names: &[&str]) -> Request {
    let topic =
        |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() };
    Request::Metadata(Box::new(MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        // Before version 4 the field is not there, and true.
        allow_auto_topic_creation: version < 4,
        ..Default::default()
    }))
}

/// The target still answers on a new connection.
pub(crate) fn is_alive(context: &mut Context<'_>, statement: &'static str) -> Step {
    let mut wire = context.connect()?;
    let answer = wire.call(0, &api_versions());
    context.answered(statement, answer).map(drop)
}
