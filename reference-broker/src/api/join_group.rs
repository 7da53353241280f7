//! JoinGroup (key 11), versions 0 to 9.
//!
//! The answer waits for the join phase to end. Version 0 has no rebalance timeout and takes the
//! session's; from 4 a new dynamic member is first given its id (KIP-394); from 5 members may be
//! static (KIP-345); from 7 the protocol type is told and an absent protocol is null (KIP-559),
//! before that empty; from 8 members give a reason (KIP-800); from 9 a static leader that returns
//! may skip its assignment (KIP-814).

use ottla_protocol::messages::join_group::JoinGroupResponseMember;
use ottla_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::RequestContext;
use crate::coordinator::types::{JoinReply, JoinRequest};

pub(crate) async fn handle(
    context: &RequestContext,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let version = context.api_version;
    let join = JoinRequest {
        group_id: request.group_id,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        client_id: context.client_id.clone().unwrap_or_default(),
        // As Java prints an address that was never a name.
        client_host: format!("/{}", context.client_address.ip()),
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(|own| (own.name, own.metadata)).collect(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if version == 0 {
            request.session_timeout_ms
        } else {
            request.rebalance_timeout_ms
        },
        reason: request.reason,
        new_id_suffix: random_suffix(),
        requires_known_member_id: version >= 4,
        supports_skipping_assignment: version >= 9,
    };
    response(version, context.broker.coordinator().join(join).await)
}

fn response(version: i16, reply: JoinReply) -> JoinGroupResponse {
    let protocol_name = match reply.protocol_name {
        None if version < 7 => Some(String::new()),
        name => name,
    };
    let member = |member: crate::coordinator::types::JoinMember| JoinGroupResponseMember {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        metadata: member.metadata,
        ..JoinGroupResponseMember::default()
    };
    JoinGroupResponse {
        error_code: reply.error.code(),
        generation_id: reply.generation,
        protocol_type: reply.protocol_type,
        protocol_name,
        leader: reply.leader,
        skip_assignment: reply.skip_assignment,
        member_id: reply.member_id,
        members: reply.members.into_iter().map(member).collect(),
        ..JoinGroupResponse::default()
    }
}

/// A random UUID in its usual form: what Kafka puts behind the client's id.
fn random_suffix() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use ottla_protocol::{Encoder, ErrorCode, Message};

    use super::*;

    #[test]
    fn an_absent_protocol_is_empty_before_version_7_and_null_from_it() {
        let reply = || JoinReply::error("m", ErrorCode::UnknownMemberId);
        for version in 0..=9 {
            let response = response(version, reply());
            let expected = (version < 7).then(String::new);
            assert_eq!(response.protocol_name, expected, "version {version}");
            assert_eq!(response.generation_id, -1);
            let mut out = Encoder::new();
            response.encode(&mut out, version).expect("every version can carry an error");
        }
    }

    #[test]
    fn suffixes_are_uuids_and_differ() {
        let (a, b) = (random_suffix(), random_suffix());
        assert_ne!(a, b);
        assert_eq!(a.len(), 36);
        assert_eq!(a.as_bytes()[14], b'4');
    }
}
