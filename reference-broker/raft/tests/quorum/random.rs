//! Random crashes and cuts: what was acknowledged stays, everywhere in the same order.

use std::time::Duration;

use crate::net::{Net, elapse};

async fn run(seed: u64) {
    let mut net = Net::new(seed);
    net.snapshot_every = 30;
    for id in 1..=3 {
        net.start(id).await.unwrap();
    }
    let voters = (1..=3).map(|id| net.node(id)).collect();
    net.raft(1).bootstrap(voters).await.unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..60 {
        match net.random(8) {
            0 if net.running().len() == 3 => {
                let id = i32::try_from(net.random(3)).unwrap() + 1;
                net.crash(id).await;
            }
            1 | 2 => {
                for id in 1..=3 {
                    if !net.running().contains(&id) {
                        net.start(id).await.unwrap();
                    }
                }
            }
            3 if net.running().len() == 3 => {
                let id = i32::try_from(net.random(3)).unwrap() + 1;
                net.cut(id, 1..=3);
            }
            4 | 5 => net.heal(),
            _ => elapse(Duration::from_millis(100)).await,
        }
        assert!(net.leaders().len() < 2, "seed {seed}: two leases at once");
        for id in net.running() {
            let text = format!("{round}-{id}");
            if let Ok(applied) = net.propose(id, &text).await {
                acknowledged.push((applied.index, text));
            }
        }
    }
    net.heal();
    for id in 1..=3 {
        if !net.running().contains(&id) {
            net.start(id).await.unwrap();
        }
    }
    net.write("last").await;
    let settled = net.settled(&[1, 2, 3]).await;
    assert!(acknowledged.len() > 10, "seed {seed}: {} acknowledged", acknowledged.len());
    for known in &acknowledged {
        assert!(settled.contains(known), "seed {seed}: {known:?} is lost");
    }
    assert!(settled.windows(2).all(|pair| pair[0].0 < pair[1].0), "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn acknowledged_commands_survive_crashes_and_cuts() {
    for seed in 0..8 {
        run(seed).await;
    }
}
