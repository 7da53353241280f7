//! Networks that fail in part.

use super::FAILOVER_MAX;
use crate::Failure;
use crate::load::TOPIC;
use crate::network;
use crate::world::{Report, World};
use tokio::time::{Duration, sleep};

pub(crate) async fn leader_isolated(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let leader = world.leader(0).await?;
    // Clients still reach it: it must not acknowledge to them.
    world.isolate(leader)?;
    world.progress(1500).await?;
    network_heal(world)?;
    world.whole(TOPIC).await?;
    Ok(world.finish().await?.within(FAILOVER_MAX))
}

pub(crate) async fn one_way(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let controller = world.controller().await?;
    let others: Vec<i32> = (1..=3).filter(|id| *id != controller).collect();
    let (first, second) = (others[0], others[1]);
    // Each reaches the controller, and they do not reach each other.
    network::cut(first, second)?;
    network::cut(second, first)?;
    world.progress(1500).await?;
    network_heal(world)?;
    world.whole(TOPIC).await?;
    // One direction only, towards the controller and back.
    for (from, to) in [(first, controller), (controller, first), (first, second)] {
        network::cut(from, to)?;
        world.progress(1500).await?;
        network_heal(world)?;
        world.whole(TOPIC).await?;
    }
    world.finish().await
}

pub(crate) async fn loss(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    for from in 1..=3 {
        for to in (1..=3).filter(|to| *to != from) {
            network::lose(from, to, 20)?;
        }
    }
    sleep(Duration::from_secs(5)).await;
    network_heal(world)?;
    world.progress(200).await?;
    world.finish().await
}

fn network_heal(world: &World) -> Result<(), Failure> {
    world.cluster.ids().into_iter().try_for_each(network::heal)
}
