//! DescribeCluster: the cluster as Metadata tells it.

use super::admin::metadata;
use super::told::Told;
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use ottla_protocol::messages::{ApiKey, Request};
use std::collections::BTreeSet;

const MISMATCHED_ENDPOINT_TYPE: i16 = 114;
/// "Not asked for", in fields of authorised operations.
const NOT_ASKED: i32 = i32::MIN;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "describe-cluster/is-that-of-metadata",
        Admin,
        (ApiKey::DescribeCluster, 0),
        is_that_of_metadata,
        &[
            "K-DESCRIBE-CLUSTER-001",
            "K-DESCRIBE-CLUSTER-002",
            "K-DESCRIBE-CLUSTER-003",
            "K-DESCRIBE-CLUSTER-005",
        ],
    ),
    Case::each(
        "describe-cluster/endpoint-type",
        Admin,
        (ApiKey::DescribeCluster, 1),
        endpoint_type,
        &["K-DESCRIBE-CLUSTER-004"],
    ),
];

fn ask(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    request: DescribeClusterRequest,
) -> Step<DescribeClusterResponse> {
    context.call(statement, wire, &Request::DescribeCluster(Box::new(request)))
}

fn is_that_of_metadata(context: &mut Context<'_>) -> Step {
    let (one, two, three) =
        ("K-DESCRIBE-CLUSTER-001", "K-DESCRIBE-CLUSTER-002", "K-DESCRIBE-CLUSTER-003");
    let mut wire = context.connect()?;
    let told = metadata(context, &mut wire, &[])?;
    let answer = ask(context, &mut wire, one, DescribeClusterRequest::default())?;
    let code = answer.error_code;
    context.must(one, code == 0, || format!("DescribeCluster: {}", error_name(code)))?;
    let id = told.cluster_id.unwrap_or_default();
    context.must(one, !id.is_empty() && answer.cluster_id == id, || {
        format!("cluster id {:?}; Metadata has {id:?}", answer.cluster_id)
    })?;
    let ours: BTreeSet<_> = answer
        .brokers
        .iter()
        .map(|broker| (broker.broker_id, &broker.host, broker.port, &broker.rack))
        .collect();
    let theirs: BTreeSet<_> = told
        .brokers
        .iter()
        .map(|broker| (broker.node_id, &broker.host, broker.port, &broker.rack))
        .collect();
    context.must(two, ours == theirs && ours.len() == answer.brokers.len(), || {
        format!("brokers {ours:?}; Metadata has {theirs:?}")
    })?;
    let bits = answer.cluster_authorized_operations;
    context.must(three, bits == NOT_ASKED, || format!("not asked for, they are {bits}"))?;
    if context.version() >= 2 {
        let five = "K-DESCRIBE-CLUSTER-005";
        let fenced = answer.brokers.iter().find(|broker| broker.is_fenced);
        context.must(five, fenced.is_none(), || {
            format!("not asked for, there is {}", fenced.told())
        })?;
        let request = DescribeClusterRequest { include_fenced_brokers: true, ..Default::default() };
        let all = ask(context, &mut wire, five, request)?;
        let live = all.brokers.iter().filter(|broker| !broker.is_fenced).count();
        context.must(five, all.error_code == 0 && live == theirs.len(), || {
            format!("with fenced brokers asked for: {}", all.told())
        })?;
    }
    Ok(())
}

fn endpoint_type(context: &mut Context<'_>) -> Step {
    let four = "K-DESCRIBE-CLUSTER-004";
    let mut wire = context.connect()?;
    let request = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    let answer = ask(context, &mut wire, four, request)?;
    let code = answer.error_code;
    context.must(four, code == MISMATCHED_ENDPOINT_TYPE, || {
        format!("controllers asked of a broker: {}", error_name(code))
    })
}
