//! Records that are deleted, and clients that do not behave.

use crate::load::TOPIC;
use crate::world::{Report, World};
use crate::{Failure, load, wire};
use ottla::NewTopic;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::{ApiVersionsRequest, FetchRequest, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

/// Everything that is committed.
const ALL: i64 = -1;

pub(crate) async fn behind_log_start(world: &mut World) -> Result<Report, Failure> {
    world.does_not_compare_files();
    world.begin_with(3, &[("segment.bytes", "65536")]).await?;
    for follower in [2, 3] {
        world.cluster.kill(follower)?;
        world.progress(1000).await?;
        let leader = world.leader(0).await?;
        delete(world, leader).await?;
        world.cluster.start(follower).await?;
        world.whole(TOPIC).await?;
    }
    world.finish().await
}

/// Deletes what is committed of partition 0; all replicas must be there for a code of 0.
async fn delete(world: &World, leader: i32) -> Result<(), Failure> {
    let code = wire::delete_records(&world.cluster.address(leader), TOPIC, 0, ALL).await?;
    // Done here, and not everywhere in time: a replica is down.
    if code == 0 || code == ottla_protocol::ErrorCode::RequestTimedOut.code() {
        return Ok(());
    }
    Err(format!("DeleteRecords is answered with {code}").into())
}

pub(crate) async fn deleted_stay_deleted(world: &mut World) -> Result<Report, Failure> {
    world.does_not_compare_files();
    world.begin().await?;
    world.progress(300).await?;
    let leader = world.leader(0).await?;
    delete(world, leader).await?;
    let (_, starts) = load::read_all(&world.cluster.bootstrap()).await?;
    world.cluster.kill(leader)?;
    world.progress(300).await?;
    for id in (1..=3).filter(|id| *id != leader) {
        world.cluster.kill(id)?;
    }
    world.cluster.start_all().await?;
    world.progress(300).await?;
    let (_, later) = load::read_all(&world.cluster.bootstrap()).await?;
    if starts[&0] == 0 || later[&0] < starts[&0] {
        let (before, after) = (starts[&0], later[&0]);
        return Err(format!("the log started at {before}, and at {after} later").into());
    }
    world.finish().await
}

pub(crate) async fn topic_made_anew(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    world.create("other", &[]).await?;
    let producer = ottla::Producer::builder().bootstrap_servers(world.cluster.bootstrap());
    let producer = producer.build().await?;
    let send = async |value: &str| -> Result<i64, Failure> {
        let record = ottla::Record::to("other").partition(0).value(value);
        Ok(producer.send(record).await?.await?.offset)
    };
    for _ in 0..10 {
        send("of the former topic").await?;
    }
    world.cluster.kill(3)?;
    let admin = world.admin().await?;
    for (_, outcome) in admin.delete_topics(["other"]).await? {
        outcome?;
    }
    let replicas = vec![vec![1, 2, 3]];
    admin.create_topic(NewTopic::assigned("other", replicas)).await?;
    let first = send("of the new topic").await?;
    if first != 0 {
        return Err(format!("the first record of a new topic has offset {first}").into());
    }
    world.cluster.start(3).await?;
    world.whole("other").await?;
    admin.close().await;
    producer.close().await?;
    let mut files = Vec::new();
    for id in 1..=3 {
        files.push(crate::world::log_bytes(&world.cluster.data_dir(id).join("other-0"))?);
    }
    if files.iter().any(|file| *file != files[0]) {
        return Err("a replica that was down has not the records of the new topic".into());
    }
    world.finish().await
}

pub(crate) async fn reconnections(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    for _ in 0..3 {
        let connections = (0..2000).map(|number| {
            let address = world.cluster.address(number % 3 + 1);
            tokio::spawn(async move { TcpStream::connect(address).await })
        });
        let mut open = Vec::new();
        for connection in connections.collect::<Vec<_>>() {
            open.push(timeout(Duration::from_secs(30), connection).await???);
        }
        // Some of them say something that is no request.
        for connection in open.iter_mut().step_by(10) {
            connection.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
        }
        let mut byte = [0];
        let ended = timeout(Duration::from_secs(30), open[0].read(&mut byte)).await?;
        if ended.is_ok_and(|len| len > 0) {
            return Err("what is no request was answered".into());
        }
        wire::ask(&world.cluster.address(1), 0, ApiVersionsRequest::default()).await?;
    }
    world.progress(200).await?;
    world.finish().await
}

pub(crate) async fn hostile_replica(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let leader = world.leader(0).await?;
    let follower = leader % 3 + 1;
    for id in (1..=3).filter(|id| *id != leader) {
        world.cluster.pause(id)?;
    }
    // "I have everything": if that were believed, the leader would acknowledge what only it has.
    let partition = FetchPartition { fetch_offset: 1 << 40, ..Default::default() };
    let topic =
        FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest { replica_id: follower, topics: vec![topic], ..Default::default() };
    let before = world.load().acknowledged();
    for _ in 0..20 {
        let answer = wire::ask(&world.cluster.address(leader), 4, request.clone()).await;
        if let Ok(Response::Fetch(answer)) = answer {
            let codes = answer.responses.iter().flat_map(|topic| &topic.partitions);
            if codes.map(|partition| partition.error_code).any(|code| code == 0) {
                return Err("a client was taken for a replica".into());
            }
        }
    }
    let acknowledged = world.load().acknowledged() - before;
    world.cluster.kill(leader)?;
    world.cluster.heal().await?;
    world.progress(200).await?;
    // What was under way when the others stopped may have been answered since.
    let report = world.finish().await?;
    Ok(report.noting(format!("{acknowledged} acknowledged meanwhile, all of them kept")))
}
