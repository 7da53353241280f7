//! Nodes that stop and go on, or are cut off for a while, and clocks that jump.

use super::FAILOVER_MAX;
use super::kills::coordinator_of;
use crate::load::TOPIC;
use crate::world::{Report, World};
use crate::{Failure, network, wire};
use std::fs;
use std::path::PathBuf;
use tokio::time::{Duration, sleep};

pub(crate) async fn leader(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    for step in 0..3 {
        let victim = match step {
            2 => coordinator_of(world).await?,
            partition => world.leader(partition).await?,
        };
        world.cluster.pause(victim)?;
        world.progress(2000).await?;
        // It still takes itself for the leader, and has requests to answer.
        world.cluster.resume(victim)?;
        world.progress(500).await?;
        world.whole(TOPIC).await?;
    }
    Ok(world.finish().await?.within(FAILOVER_MAX))
}

pub(crate) async fn follower(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let follower = world.leader(0).await? % 3 + 1;
    for millis in [200, 700, 400, 1200, 300, 900] {
        world.cluster.pause(follower)?;
        sleep(Duration::from_millis(millis)).await;
        world.cluster.resume(follower)?;
        sleep(Duration::from_millis(300)).await;
    }
    world.finish().await
}

pub(crate) async fn quorum(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let leader = world.leader(0).await?;
    let others: Vec<i32> = (1..=3).filter(|id| *id != leader).collect();
    for id in &others {
        world.cluster.kill(*id)?;
    }
    sleep(Duration::from_secs(1)).await;
    let before = world.load().acknowledged();
    sleep(Duration::from_secs(2)).await;
    let after = world.load().acknowledged();
    if after > before {
        let count = after - before;
        return Err(format!("{count} records were acknowledged by one replica of three").into());
    }
    world.cluster.start_all().await?;
    world.progress(300).await?;
    world.finish().await
}

pub(crate) async fn elections(world: &mut World) -> Result<Report, Failure> {
    world.prepare().await?;
    for _ in 0..6 {
        let leader = world.leader(0).await?;
        world.isolate(leader)?;
        let moved = |topic: &ottla::TopicMetadata| {
            topic.partitions[0].leader.is_some_and(|id| id != leader)
        };
        world.until(TOPIC, "another one leads", moved).await?;
        heal(world)?;
        world.whole(TOPIC).await?;
    }
    world.put_load_on().await?;
    let leader = world.leader(0).await?;
    world.cluster.kill(leader)?;
    world.progress(300).await?;
    world.finish().await
}

pub(crate) async fn clock(world: &mut World) -> Result<Report, Failure> {
    let Some(library) = faketime() else {
        return Ok(Report::elsewhere("there is no libfaketime: install Debian's package"));
    };
    world.begin().await?;
    let clock = world.cluster.folder.join("clock");
    fs::write(&clock, "+0")?;
    world.cluster.stop(1).await?;
    world.cluster.environment = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    world.cluster.start(1).await?;
    world.cluster.environment.clear();
    world.whole(TOPIC).await?;
    for jump in ["+3600", "-3600", "+0"] {
        fs::write(&clock, jump)?;
        world.progress(1000).await?;
    }
    world.finish().await
}

/// Where Debian has it.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let libraries = folders.flatten().map(|f| f.path().join("faketime/libfaketime.so.1"));
    libraries.into_iter().find(|library| library.exists())
}

pub(crate) async fn unacknowledged_tail(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    for partition in [0, 1, 2] {
        let leader = tail_of_its_own(world, partition).await?;
        world.progress(300).await?;
        world.cluster.start(leader).await?;
        world.whole(TOPIC).await?;
    }
    world.finish().await
}

pub(crate) async fn retry_unreplicated(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    for _ in 0..3 {
        let leader = tail_of_its_own(world, 0).await?;
        // What it had is tried again at the next leader, and stands there once.
        world.progress(100).await?;
        world.cluster.start(leader).await?;
        world.whole(TOPIC).await?;
    }
    world.finish().await
}

/// Lets a leader append what nobody else gets, and kills it.
async fn tail_of_its_own(world: &mut World, partition: usize) -> Result<i32, Failure> {
    let leader = world.leader(partition).await?;
    for follower in (1..=3).filter(|id| *id != leader) {
        world.cluster.pause(follower)?;
    }
    sleep(Duration::from_millis(250)).await;
    world.cluster.kill(leader)?;
    for follower in (1..=3).filter(|id| *id != leader) {
        world.cluster.resume(follower)?;
    }
    Ok(leader)
}

pub(crate) async fn leader_again(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let first = world.leader(0).await?;
    for _ in 0..3 {
        world.isolate(first)?;
        let moved = |topic: &ottla::TopicMetadata| topic.partitions[0].leader != Some(first);
        world.until(TOPIC, "another one leads", moved).await?;
        heal(world)?;
        world.whole(TOPIC).await?;
        let other = first % 3 + 1;
        wire::elect(&world.cluster.address(other), TOPIC, &[0, 1, 2], false).await?;
        let back = |topic: &ottla::TopicMetadata| topic.partitions[0].leader == Some(first);
        world.until(TOPIC, "the first one leads again", back).await?;
        world.progress(100).await?;
    }
    world.finish().await
}

pub(crate) async fn unclean(world: &mut World) -> Result<Report, Failure> {
    world.begin_with(5, &[]).await?;
    // 3 misses what 1 and 2 acknowledge; then only 3 is left, and the quorum of 3, 4 and 5.
    world.cluster.kill(3)?;
    world.progress(1000).await?;
    world.cluster.kill(1)?;
    world.cluster.kill(2)?;
    world.cluster.start(3).await?;
    sleep(Duration::from_secs(3)).await;
    let topic = world.describe(TOPIC).await?.ok_or("the topic is gone")?;
    if let Some(led) = topic.partitions.iter().find(|partition| partition.leader.is_some()) {
        return Err(format!("a replica that was not in sync leads partition {}", led.index).into());
    }
    wire::elect(&world.cluster.address(4), TOPIC, &[0, 1, 2], true).await?;
    let led = |topic: &ottla::TopicMetadata| topic.partitions.iter().all(|p| p.leader == Some(3));
    world.until(TOPIC, "3 leads, by order", led).await?;
    world.cluster.start(1).await?;
    world.cluster.start(2).await?;
    let mut report = world.finish().await?;
    world.must_have_told()?;
    let lost = report.lost();
    report.excuse();
    Ok(report.noting(format!("no leader until one was asked for; {lost} lost then, as told")))
}

fn heal(world: &World) -> Result<(), Failure> {
    world.cluster.ids().into_iter().try_for_each(network::heal)
}
