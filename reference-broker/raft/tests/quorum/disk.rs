//! What is on disk: restarts, snapshots, damage.

use std::io::Write;

use crate::net::Net;

#[tokio::test(start_paused = true)]
async fn all_that_was_acknowledged_is_there_after_everybody_crashed() {
    let mut net = Net::with_voters(1, 3).await;
    for round in 0..20 {
        net.write(&format!("c{round}")).await;
    }
    for id in 1..=3 {
        net.crash(id).await;
    }
    for id in 1..=3 {
        net.start(id).await.unwrap();
    }
    net.write("after").await;
    let settled = net.settled(&[1, 2, 3]).await;
    assert_eq!(settled.len(), 21);
    assert_eq!(settled[20].1, "after");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_missed_much_takes_a_snapshot_and_has_the_same_state() {
    let mut net = Net::new(5);
    net.snapshot_every = 20;
    for id in 1..=3 {
        net.start(id).await.unwrap();
    }
    let voters = (1..=3).map(|id| net.node(id)).collect();
    net.raft(1).bootstrap(voters).await.unwrap();
    let away = net.leader().await % 3 + 1;
    net.crash(away).await;
    for round in 0..100 {
        net.write(&format!("c{round}")).await;
    }
    net.start(away).await.unwrap();
    net.write("after").await;
    assert_eq!(net.settled(&[1, 2, 3]).await.len(), 101);
    assert!(net.data(away).join("snapshot").exists());
    for id in 1..=3 {
        net.crash(id).await;
        net.start(id).await.unwrap();
    }
    net.write("last").await;
    assert_eq!(net.settled(&[1, 2, 3]).await.len(), 102, "the log goes on where snapshots end");
}

/// Somebody has put back an older copy of a follower's folder. That is no reason for the leader to
/// stop: it sends what is missing.
#[tokio::test(start_paused = true)]
async fn a_follower_may_come_back_with_an_older_log() {
    let mut net = Net::with_voters(3, 3).await;
    net.write("first").await;
    let leader = net.leader().await;
    let victim = leader % 3 + 1;
    net.settled(&[1, 2, 3]).await;
    net.crash(victim).await;
    let names = ["log", "vote"].map(|name| net.data(victim).join(name));
    let copies = names.clone().map(|path| std::fs::read(path).unwrap());
    net.start(victim).await.unwrap();
    for round in 0..10 {
        net.write(&format!("c{round}")).await;
    }
    net.settled(&[1, 2, 3]).await;
    net.crash(victim).await;
    for (path, content) in names.iter().zip(copies) {
        std::fs::write(path, content).unwrap();
    }
    net.start(victim).await.unwrap();
    net.write("last").await;
    assert_eq!(net.settled(&[1, 2, 3]).await.len(), 12);
    assert_eq!(net.leader().await, leader);
}

#[tokio::test(start_paused = true)]
async fn a_torn_record_is_cut_and_a_damaged_one_is_refused_with_file_and_byte() {
    let mut net = Net::with_voters(1, 1).await;
    for round in 0..5 {
        net.write(&format!("c{round}")).await;
    }
    net.crash(1).await;
    let log = net.data(1).join("log");
    let whole = std::fs::read(&log).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(&whole[..whole.len() / 5]).unwrap();
    let torn = [&whole[..], &[0, 0, 1, 0, 7, 7, 7, 7, b'{']].concat();
    std::fs::write(&log, torn).unwrap();
    net.start(1).await.unwrap();
    net.write("after").await;
    assert_eq!(net.settled(&[1]).await.len(), 6);
    net.crash(1).await;

    for (name, at) in [("log", 20), ("vote", 12)] {
        let path = net.data(1).join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        let error = net.start(1).await.unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(error.contains("at byte 0"), "{error}");
        std::fs::write(&path, whole).unwrap();
    }
    net.start(1).await.unwrap();
    net.write("still").await;
}
