//! Nodes that come and go.

use ottla_raft::Uuid128;

use crate::net::Net;

#[tokio::test(start_paused = true)]
async fn a_learner_has_everything_gets_a_vote_and_loses_it() {
    let mut net = Net::with_voters(1, 3).await;
    net.write("one").await;
    net.start(4).await.unwrap();
    let leader = net.raft(net.leader().await);
    leader.add_learner(net.node(4)).await.unwrap();
    assert_eq!(net.settled(&[1, 2, 3, 4]).await.len(), 1);
    leader.add_voter(net.node(4)).await.unwrap();
    let voters = |net: &Net| -> Vec<i32> {
        net.raft(4).status().voters.iter().map(|node| node.id).collect()
    };
    net.write("two").await;
    net.settled(&[1, 2, 3, 4]).await;
    assert_eq!(voters(&net), [1, 2, 3, 4]);
    let leader = net.raft(net.leader().await);
    let wrong = Uuid128([9; 16]);
    assert!(leader.remove_voter(3, wrong, false).await.is_err(), "M15: id and data folder");
    let away = if net.leader().await == 3 { 2 } else { 3 };
    leader.remove_voter(away, net.node(away).directory, false).await.unwrap();
    net.write("three").await;
    assert_eq!(net.settled(&[1, 2, 3, 4]).await.len(), 3, "it goes on as a learner");
    assert!(!voters(&net).contains(&away));
}

#[tokio::test(start_paused = true)]
async fn a_leader_hands_over_before_it_is_removed() {
    for seed in 0..5 {
        let net = Net::with_voters(seed, 3).await;
        let old = net.leader().await;
        let directory = net.node(old).directory;
        assert!(net.raft(old).remove_voter(old, directory, false).await.is_err());
        let new = net.leader().await;
        assert_ne!(new, old, "seed {seed}");
        net.raft(new).remove_voter(old, directory, false).await.unwrap();
        net.write("on").await;
        assert!(net.raft(new).status().voters.iter().all(|node| node.id != old));
    }
}

#[tokio::test(start_paused = true)]
async fn a_voter_with_an_empty_disk_is_another_one() {
    let mut net = Net::with_voters(3, 3).await;
    net.write("one").await;
    let leader = net.leader().await;
    let lost = leader % 3 + 1;
    net.crash(lost).await;
    std::fs::remove_dir_all(net.data(lost)).unwrap();
    let mut node = net.node(lost);
    node.directory = Uuid128([77; 16]);
    net.start_as(node.clone()).await.unwrap();
    net.write("two").await;
    assert!(net.records[&lost].commands().is_empty(), "nothing is meant for it yet");
    let leader = net.raft(net.leader().await);
    leader.remove_voter(lost, net.node(lost).directory, true).await.unwrap();
    leader.add_learner(node.clone()).await.unwrap();
    leader.add_voter(node).await.unwrap();
    net.write("three").await;
    assert_eq!(net.settled(&[1, 2, 3]).await.len(), 3);
    assert_eq!(leader.status().voters.len(), 3);
}
