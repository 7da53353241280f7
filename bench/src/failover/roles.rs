//! Who is who in a cluster, and who is to be killed.

use crate::Failure;
use crate::cluster::Cluster;
use clap::ValueEnum;
use ottla_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumRequestPartitionData, DescribeQuorumRequestTopicData,
};
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::{Request, Response};
use ottla_protocol::{Bytes, Encoder, header};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a cluster may take to know its roles.
const PATIENCE: Duration = Duration::from_secs(60);
/// More names than the partitions of `__consumer_offsets` need to be hit all.
const GROUPS: usize = 60;
/// Of DescribeQuorum and FindCoordinator; both sides have them.
const VERSIONS: (i16, i16) = (2, 4);

/// Who is killed: what else it does, it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// The leader of the partitions
    Leader,
    /// The active controller, which leads none of the partitions
    Controller,
    /// The group's coordinator, which leads none of the partitions
    Coordinator,
    /// Leader, active controller and coordinator in one
    All,
    /// A follower alone
    Follower,
}

impl Case {
    /// Its name in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Controller => "controller",
            Self::Coordinator => "coordinator",
            Self::All => "all three",
            Self::Follower => "follower",
        }
    }
}

/// The parts for one run.
pub(crate) struct Cast {
    /// Who is killed.
    pub(crate) victim: i32,
    /// Who leads the partitions.
    pub(crate) leader: i32,
    controller: i32,
    coordinator: i32,
    /// A group with that coordinator.
    pub(crate) group: String,
}

impl Cast {
    /// Chooses; `None` where nobody in this cluster has the roles.
    pub(crate) async fn choose(cluster: &Cluster, case: Case) -> Result<Option<Self>, Failure> {
        let controller = controller(cluster).await?;
        let ids = cluster.ids();
        let plain = || ids.iter().copied().filter(move |id| *id != controller);
        for group in 0..GROUPS {
            let group = format!("failover-{group}");
            let coordinator = coordinator(cluster, &group).await?;
            let mut victims: Vec<i32> = match case {
                Case::Controller => vec![controller],
                Case::All => vec![controller],
                _ => plain().collect(),
            };
            let coordinates = matches!(case, Case::Coordinator | Case::All);
            victims.retain(|victim| (*victim == coordinator) == coordinates);
            let Some(victim) = victims.first().copied() else { continue };
            let leads = matches!(case, Case::Leader | Case::All);
            let leader = ids.iter().copied().find(|id| (*id == victim) == leads);
            let leader = leader.ok_or("a cluster of several nodes is needed")?;
            return Ok(Some(Self { victim, leader, controller, coordinator, group }));
        }
        Ok(None)
    }

    /// Whether controller and coordinator are who they were.
    pub(crate) async fn is_valid(&self, cluster: &Cluster) -> Result<bool, Failure> {
        Ok(controller(cluster).await? == self.controller
            && coordinator(cluster, &self.group).await? == self.coordinator)
    }
}

/// The active controller: the leader of the metadata quorum.
async fn controller(cluster: &Cluster) -> Result<i32, Failure> {
    let partition = DescribeQuorumRequestPartitionData::default();
    let topic = DescribeQuorumRequestTopicData {
        topic_name: "__cluster_metadata".to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
    let request = Request::DescribeQuorum(Box::new(request));
    until_known("the quorum has a leader", || match ask(cluster, VERSIONS.0, &request)? {
        Response::DescribeQuorum(answer) => {
            let mut all = answer.topics.iter().flat_map(|topic| &topic.partitions);
            Ok(all.next().map(|quorum| quorum.leader_id).filter(|leader| *leader > 0))
        }
        _ => Err("another API's answer".into()),
    })
    .await
}

async fn coordinator(cluster: &Cluster, group: &str) -> Result<i32, Failure> {
    let request =
        FindCoordinatorRequest { coordinator_keys: vec![group.to_owned()], ..Default::default() };
    let request = Request::FindCoordinator(Box::new(request));
    until_known("groups have coordinators", || match ask(cluster, VERSIONS.1, &request)? {
        Response::FindCoordinator(answer) => {
            let found = answer.coordinators.first().filter(|found| found.error_code == 0);
            Ok(found.map(|found| found.node_id))
        }
        _ => Err("another API's answer".into()),
    })
    .await
}

async fn until_known(
    what: &str,
    mut ask: impl FnMut() -> Result<Option<i32>, Failure>,
) -> Result<i32, Failure> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(id) = ask()? {
            return Ok(id);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(format!("not so within {} s: {what}", PATIENCE.as_secs()).into())
}

/// One request on a connection of its own, to a node that runs.
fn ask(cluster: &Cluster, version: i16, request: &Request) -> Result<Response, Failure> {
    let api = request.api_key();
    let mut out = Encoder::framed();
    header::encode_request_header(&mut out, api, version, 1, Some("failover"))?;
    request.encode(&mut out, version)?;
    let mut stream = TcpStream::connect(cluster.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&out.into_bytes())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame)?;
    let frame = Bytes::from(frame);
    let (_, body_at) = header::decode_response_header(&frame, api, version)?;
    Ok(Response::decode(api, version, &frame, body_at)?)
}
