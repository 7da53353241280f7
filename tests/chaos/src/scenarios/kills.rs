//! Nodes that end at once.

use crate::load::TOPIC;
use crate::world::{Report, World};
use crate::{Failure, wire};
use ottla::NewTopic;
use tokio::time::{Duration, sleep};

pub(crate) async fn leader(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let leader = world.leader(0).await?;
    world.cluster.kill(leader)?;
    world.progress(500).await?;
    world.finish().await
}

pub(crate) async fn chase(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    for _ in 0..5 {
        let leader = world.leader(0).await?;
        world.cluster.kill(leader)?;
        world.progress(200).await?;
        world.cluster.start(leader).await?;
        world.whole(TOPIC).await?;
    }
    world.finish().await
}

pub(crate) async fn follower(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let leader = world.leader(0).await?;
    let follower = leader % 3 + 1;
    // Stopped first, so that appends wait for it when it dies.
    world.cluster.pause(follower)?;
    sleep(Duration::from_millis(100)).await;
    world.cluster.kill(follower)?;
    world.progress(500).await?;
    world.finish().await
}

pub(crate) async fn all(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    for order in [[3, 1, 2], [2, 3, 1]] {
        for id in [1, 2, 3] {
            world.cluster.kill(id)?;
        }
        let mut lines = Vec::new();
        for id in order {
            lines.push((id, world.cluster.spawn(id)?));
            sleep(Duration::from_millis(300)).await;
        }
        for (id, line) in lines {
            crate::cluster::Cluster::ready(id, line).await?;
        }
        world.progress(300).await?;
    }
    world.finish().await
}

pub(crate) async fn controller(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let controller = world.controller().await?;
    let admin = world.admin().await?;
    let topics = (0..20).map(|number| NewTopic::new(format!("made-{number}"), 2, 3));
    let (made, killed) = tokio::join!(admin.create_topics(topics), async {
        sleep(Duration::from_millis(20)).await;
        world.cluster.kill(controller)
    });
    killed?;
    let made = made?;
    world.progress(300).await?;
    // What was answered with success is there, once.
    for (name, outcome) in made {
        if outcome.is_ok() {
            let has_two = |topic: &ottla::TopicMetadata| topic.partitions.len() == 2;
            world.until(&name, "a topic that was created is there", has_two).await?;
        }
    }
    admin.close().await;
    world.finish().await
}

pub(crate) async fn rolling_restart(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    for id in [1, 2, 3] {
        world.cluster.stop(id).await?;
        world.progress(100).await?;
        world.cluster.start(id).await?;
        world.whole(TOPIC).await?;
    }
    world.finish().await
}

pub(crate) async fn coordinator(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    for _ in 0..3 {
        let coordinator = coordinator_of(world).await?;
        world.cluster.kill(coordinator)?;
        world.progress(200).await?;
        world.cluster.start(coordinator).await?;
        world.whole(TOPIC).await?;
    }
    world.finish().await
}

pub(crate) async fn all_roles(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let controller = world.controller().await?;
    // It leads one of the partitions, and coordinates perhaps: make it do all of it.
    let others: Vec<i32> = (1..=3).filter(|id| *id != controller).collect();
    let replicas = [vec![controller], others].concat();
    let address = world.cluster.address(controller);
    let leads = |topic: &ottla::TopicMetadata| {
        topic.partitions.iter().all(|partition| partition.leader == Some(controller))
    };
    for name in [TOPIC, "__consumer_offsets"] {
        let topic = world.describe(name).await?.ok_or("a topic is gone")?;
        let indexes: Vec<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
        wire::reassign(&address, name, &vec![replicas.clone(); indexes.len()]).await?;
        wire::elect(&address, name, &indexes, false).await?;
        world.until(name, "the controller leads all partitions", leads).await?;
    }
    let (active, coordinator) = (world.controller().await?, coordinator_of(world).await?);
    if (active, coordinator) != (controller, controller) {
        return Err(
            format!("{controller} leads, {active} controls, {coordinator} coordinates").into()
        );
    }
    world.cluster.kill(controller)?;
    world.progress(500).await?;
    world.finish().await
}

pub(crate) async fn plain_follower(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let controller = world.controller().await?;
    let victim = (1..=3).find(|id| *id != controller).expect("there are three");
    let others: Vec<i32> = (1..=3).filter(|id| *id != victim).collect();
    let replicas = vec![[others, vec![victim]].concat(); 3];
    let address = world.cluster.address(controller);
    wire::reassign(&address, TOPIC, &replicas).await?;
    wire::elect(&address, TOPIC, &[0, 1, 2], false).await?;
    let leads_nothing = |topic: &ottla::TopicMetadata| {
        topic.partitions.iter().all(|p| p.leader.is_some() && p.leader != Some(victim))
    };
    world.until(TOPIC, "the victim leads nothing", leads_nothing).await?;
    world.cluster.kill(victim)?;
    world.progress(500).await?;
    world.finish().await
}

/// Who coordinates the load's group.
pub(crate) async fn coordinator_of(world: &World) -> Result<i32, Failure> {
    for _ in 0..500 {
        for id in world.cluster.ids() {
            let found = wire::coordinator(&world.cluster.address(id), TOPIC).await;
            if let Ok(Some(coordinator)) = found {
                return Ok(coordinator);
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err("the group has no coordinator".into())
}
