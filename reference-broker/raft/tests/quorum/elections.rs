//! Who leads, and who must not.

use std::time::Duration;

use ottla_raft::ProposeError;
use tokio::time::{Instant, sleep};

use crate::net::Net;

#[tokio::test(start_paused = true)]
async fn a_voter_that_was_cut_off_comes_back_without_an_election() {
    for seed in 0..5 {
        let net = Net::with_voters(seed, 3).await;
        let leader = net.leader().await;
        let term = net.raft(leader).status().term;
        let away = leader % 3 + 1;
        net.cut(away, 1..=3);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(net.raft(away).status().leader, None, "it expects nothing of a silent leader");
        net.heal();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(net.leader().await, leader, "seed {seed}");
        assert_eq!(net.raft(leader).status().term, term, "seed {seed}: R2");
        assert_eq!(net.raft(away).status().term, term, "seed {seed}: R2");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_a_majority_is_none_and_answers_in_time() {
    for seed in 0..5 {
        let net = Net::with_voters(seed, 3).await;
        let old = net.leader().await;
        net.write("before").await;
        net.cut(old, 1..=3);
        let asked = Instant::now();
        let error = net.propose(old, "lost").await.unwrap_err();
        assert!(matches!(error, ProposeError::Unknown), "seed {seed}: {error:?}");
        assert!(asked.elapsed() < Duration::from_secs(1), "seed {seed}: R3");
        assert!(net.raft(old).status().leader.is_none(), "seed {seed}: its lease is over");
        assert_ne!(net.leader().await, old);
        net.write("after").await;
        net.heal();
        let settled = net.settled(&[1, 2, 3]).await;
        let commands: Vec<&str> = settled.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(commands, ["before", "after"], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_reaches_one_follower_of_four_lets_go() {
    let net = Net::with_voters(7, 5).await;
    let old = net.leader().await;
    let kept = old % 5 + 1;
    net.cut(old, (1..=5).filter(|id| *id != kept && *id != old));
    let cut = Instant::now();
    loop {
        let leader = net.leader().await;
        if leader != old {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!(cut.elapsed() < Duration::from_secs(5), "R4: {:?}", cut.elapsed());
    net.write("on").await;
}

#[tokio::test(start_paused = true)]
async fn a_crashed_leader_is_replaced_within_a_second() {
    for seed in 0..10 {
        let mut net = Net::with_voters(seed, 3).await;
        let old = net.leader().await;
        let crashed = Instant::now();
        net.crash(old).await;
        assert_ne!(net.leader().await, old);
        assert!(crashed.elapsed() < Duration::from_secs(1), "seed {seed}: {:?}", crashed.elapsed());
    }
}
