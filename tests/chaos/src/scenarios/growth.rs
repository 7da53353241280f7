//! Clusters that change while faults strike.

use crate::load::TOPIC;
use crate::world::{Report, World};
use crate::{Failure, network, wire};
use ottla::NewTopic;
use tokio::time::{Duration, sleep};

pub(crate) async fn snapshot(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let victim = (1..=3).find(|id| *id != 1).expect("there are three");
    world.cluster.kill(victim)?;
    // More changes than the metadata log keeps behind its snapshot.
    let admin = world.admin().await?;
    for round in 0..12 {
        let topics = (0..100).map(|number| NewTopic::new(format!("many-{round}-{number}"), 1, 2));
        for (name, outcome) in admin.create_topics(topics).await? {
            outcome.map_err(|error| format!("cannot create {name}: {error}"))?;
        }
    }
    world.cluster.start(victim).await?;
    world.whole(TOPIC).await?;
    let controller = world.controller().await?;
    world.cluster.kill(controller)?;
    world.progress(500).await?;
    let last = admin.describe_topics(["many-11-99"]).await?;
    if !last.values().all(Result::is_ok) {
        return Err("a topic that was created is gone".into());
    }
    admin.close().await;
    world.finish().await
}

pub(crate) async fn reassign(world: &mut World) -> Result<Report, Failure> {
    world.begin_with(5, &[]).await?;
    let rounds = [[[4, 5, 1], [5, 2, 4], [3, 4, 5]], [[1, 2, 3], [2, 3, 1], [3, 1, 2]]];
    for (round, wanted) in (0..).zip(rounds) {
        let wanted = wanted.map(|replicas| replicas.to_vec());
        let code = wire::reassign(&world.cluster.address(5), TOPIC, &wanted).await?;
        if code != 0 {
            return Err(format!("a reassignment is refused with {code}").into());
        }
        let killed = if round == 0 { 4 } else { 1 };
        world.cluster.kill(killed)?;
        network::cut(2, 3)?;
        world.progress(500).await?;
        network::heal(2)?;
        world.cluster.start(killed).await?;
        sleep(Duration::from_millis(200)).await;
        let done = |topic: &ottla::TopicMetadata| {
            topic.partitions.iter().zip(&wanted).all(|(partition, wanted)| {
                let (mut found, mut wanted) = (partition.replicas.clone(), wanted.clone());
                found.sort_unstable();
                wanted.sort_unstable();
                found == wanted && partition.isr.len() == 3
            })
        };
        world.until(TOPIC, "the replicas are where they were wanted", done).await?;
    }
    world.finish().await
}
