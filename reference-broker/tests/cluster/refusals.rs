//! Nodes that must not be in a cluster, and clusters that cannot be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::broker::{Client, Lines, PATIENCE, eventually, refused};
use crate::support::{Cluster, brokers, metadata};

/// The one line with which a node says why it does not start.
fn reason(mut command: std::process::Command) -> String {
    command.stderr(Stdio::piped());
    let output = refused(command);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.starts_with("error: "));
    line.unwrap_or_else(|| panic!("no reason: {text}")).to_owned()
}

#[test]
fn a_node_of_another_cluster_is_refused_by_those_that_it_finds() {
    let cluster = Cluster::new(3, 4);
    let _three = cluster.start(&[1, 2, 3]);
    let error = reason(cluster.command(4, &["cluster.id=another"]));
    assert!(error.contains("is of cluster test, not another"), "{error}");
    let mut client = Client::connect(cluster.address(1));
    assert_eq!(brokers(&mut client), [1, 2, 3]);
}

/// It could neither take part nor find out what the others decide: it ends and says why, instead of
/// waiting for a quorum that it cannot hear.
#[test]
fn a_node_whose_disk_refuses_its_vote_ends_while_it_starts() {
    let cluster = Cluster::new(3, 3);
    let three = cluster.start(&[1, 2, 3]);
    let mut client = Client::connect(cluster.address(1));
    let led = usize::try_from(metadata(&mut client).controller_id).expect("somebody leads");
    drop(three);
    // Where the next vote would be written first.
    let obstacle = cluster.data_dir(led).join("__cluster_metadata/vote.tmp");
    std::fs::create_dir(&obstacle).expect("the folder is there");
    // The two others elect, in a later term than any that the third has voted in.
    let others: Vec<usize> = (1..=3).filter(|id| *id != led).collect();
    let _two = cluster.start(&others);
    let error = reason(cluster.command(led, &[]));
    assert!(error.contains("the metadata log of this node has stopped"), "{error}");
    assert!(error.contains("Vote"), "{error}");
    std::fs::remove_dir(&obstacle).expect("it is ours");
    let _third = cluster.start(&[led]);
}

#[test]
fn a_second_node_with_an_id_that_is_taken_is_refused() {
    let cluster = Cluster::new(3, 4);
    let _three = cluster.start(&[1, 2, 3]);
    let internal = format!("INTERNAL://127.0.0.1:{}", cluster.internal_port(4));
    let servers: Vec<String> =
        (1..=3).map(|id| format!("127.0.0.1:{}", cluster.internal_port(id))).collect();
    let settings = [
        "node.id=2".to_owned(),
        format!("listeners=PLAINTEXT://127.0.0.1:0,{internal}"),
        "controller.quorum.voters=".to_owned(),
        format!("controller.quorum.bootstrap.servers={}", servers.join(",")),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let error = reason(cluster.command(4, &settings));
    assert!(error.contains("two nodes with node.id 2"), "{error}");
}

#[test]
fn a_folder_of_another_node_or_of_a_cluster_of_one_is_refused() {
    let cluster = Cluster::new(1, 2);
    drop(cluster.start(&[1]));
    let data = format!("log.dirs={}", cluster.data_dir(1).display());
    let error = reason(cluster.command(2, &[&data]));
    assert!(error.contains("belongs to node.id 1, this broker has node.id 2"), "{error}");
    let error = reason(cluster.command(1, &["controller.quorum.voters="]));
    assert!(error.contains("was one of several, this one is a cluster of one"), "{error}");
}

#[test]
fn a_node_without_its_quorum_says_what_it_waits_for_and_ends_when_it_is_asked_to() {
    let cluster = Cluster::new(2, 2);
    let mut command = cluster.command(1, &[]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let address = format!("127.0.0.1:{}", cluster.internal_port(2));
    let waits = log.lines().map_while(Result::ok).find(|line| line.contains("waiting for"));
    let waits = waits.expect("it says so before it ends");
    assert!(waits.contains("all voters of the new quorum: node 2"), "{waits}");
    assert!(waits.contains(&address), "{waits}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    eventually("the node ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn voters_with_different_lists_of_voters_form_no_quorum_and_say_why() {
    let cluster = Cluster::new(3, 3);
    let at = |id: usize| format!("{id}@127.0.0.1:{}", cluster.internal_port(id));
    let other = format!("controller.quorum.voters={},{}", at(2), at(3));
    let start = |mut command: std::process::Command| {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut node = Child(child);
        let log = Lines::of(node.0.stderr.take().unwrap());
        (node, log)
    };
    let _others = [start(cluster.command(2, &[&other])), start(cluster.command(3, &[]))];
    let (_one, mut log) = start(cluster.command(1, &[]));
    let told = log.next_with("has the voters [2, 3]");
    assert!(told.contains("waiting for all voters of the new quorum"), "{told}");
    assert!(told.contains("this node [1, 2, 3]: give all nodes the same"), "{told}");
}

/// Killed when dropped.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_corrupt_snapshot_is_named_and_the_others_go_on_without_that_node() {
    let cluster = Cluster::new(3, 3);
    let mut nodes = cluster.start(&[1, 2, 3]);
    let mut client = Client::connect(cluster.address(1));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(nodes.remove(2).terminate(), Some(0));
    let snapshot = cluster.data_dir(3).join("__cluster_metadata/snapshot");
    std::fs::write(&snapshot, b"this was a snapshot once").unwrap();
    let error = reason(cluster.command(3, &[]));
    assert!(error.contains(snapshot.to_str().unwrap()), "{error}");
    assert!(error.contains("corrupt metadata") && error.contains("join the cluster"), "{error}");
    assert_eq!(std::fs::read(&snapshot).unwrap(), b"this was a snapshot once", "it is kept");
    std::fs::remove_dir_all(cluster.data_dir(3)).unwrap();
    let _third = cluster.start(&[3]);
    eventually("it is back", || brokers(&mut client) == [1, 2, 3]);
}

#[test]
fn who_does_not_say_who_it_is_gets_nothing_of_the_listener_between_nodes() {
    let cluster = Cluster::new(1, 1);
    let _node = cluster.start(&[1]);
    let closes = |bytes: &[u8]| {
        let mut stranger = TcpStream::connect(("127.0.0.1", cluster.internal_port(1))).unwrap();
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        stranger.write_all(bytes).unwrap();
        // An end or a reset, and not a byte.
        assert!(!matches!(stranger.read(&mut [0; 16]), Ok(1..)));
    };
    // It claims 50 MB and sends no more.
    closes(&[0x03, 0, 0, 0, 0x75, 0x30, 0, 0]);
    // A request to the quorum before any greeting: key 30000, version 0, no client id.
    closes(&[0, 0, 0, 10, 0x75, 0x30, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
    assert_eq!(brokers(&mut Client::connect(cluster.address(1))), [1]);
}
