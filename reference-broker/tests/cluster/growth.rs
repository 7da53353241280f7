//! Nodes that come, go, and come back without their data.

use ottla_protocol::Uuid;
use ottla_protocol::messages::add_raft_voter::Listener;
use ottla_protocol::messages::{
    AddRaftVoterRequest, RemoveRaftVoterRequest, Response, UnregisterBrokerRequest,
};

use crate::broker::{Client, eventually};
use crate::support::{Cluster, brokers, quorum};

/// The quorum's voters and observers by id, and the data folder of the node `of`.
fn members(client: &mut Client, of: i32) -> (Vec<i32>, Vec<i32>, Uuid) {
    let described = quorum(client).unwrap_or_default();
    let (voters, observers) = (described.current_voters, described.observers);
    let directory = voters.iter().chain(&observers).find(|node| node.replica_id == of);
    let directory = directory.map_or(Uuid::default(), |node| node.replica_directory_id);
    let ids = |nodes: &[ottla_protocol::messages::describe_quorum::ReplicaState]| {
        nodes.iter().map(|node| node.replica_id).collect()
    };
    (ids(&voters), ids(&observers), directory)
}

#[test]
fn a_node_joins_gets_a_vote_loses_it_and_is_forgotten() {
    let cluster = Cluster::new(3, 4);
    let _three = cluster.start(&[1, 2, 3]);
    let fourth = cluster.start(&[4]);
    let mut client = Client::connect(cluster.address(2));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3, 4]);
    let (voters, observers, directory) = members(&mut client, 4);
    assert_eq!((voters, observers), (vec![1, 2, 3], vec![4]));

    let listener = Listener {
        name: "INTERNAL".into(),
        host: "127.0.0.1".into(),
        port: cluster.internal_port(4),
        ..Default::default()
    };
    let add = AddRaftVoterRequest {
        cluster_id: Some("test".into()),
        timeout_ms: 10_000,
        voter_id: 4,
        voter_directory_id: directory,
        listeners: vec![listener],
        ..Default::default()
    };
    let Response::AddRaftVoter(added) = client.call(0, add.clone()) else { panic!() };
    assert_eq!(added.error_code, 0, "{:?}", added.error_message);
    assert_eq!(members(&mut client, 4).0, [1, 2, 3, 4]);
    let Response::AddRaftVoter(again) = client.call(0, add) else { panic!() };
    assert_eq!(again.error_code, 126, "DUPLICATE_VOTER");

    let remove = RemoveRaftVoterRequest {
        cluster_id: Some("test".into()),
        voter_id: 4,
        voter_directory_id: directory,
        ..Default::default()
    };
    let Response::RemoveRaftVoter(removed) = client.call(0, remove.clone()) else { panic!() };
    assert_eq!(removed.error_code, 0, "{:?}", removed.error_message);
    assert_eq!(members(&mut client, 4).0, [1, 2, 3]);
    let Response::RemoveRaftVoter(again) = client.call(0, remove) else { panic!() };
    assert_eq!(again.error_code, 127, "VOTER_NOT_FOUND");

    for node in fourth {
        assert_eq!(node.terminate(), Some(0));
    }
    eventually("the broker that has ended is fenced", || brokers(&mut client) == [1, 2, 3]);
    let mut unregister = |broker_id| {
        let request = UnregisterBrokerRequest { broker_id, ..Default::default() };
        let Response::UnregisterBroker(response) = client.call(0, request) else { panic!() };
        response.error_code
    };
    assert_eq!(unregister(4), 0);
    assert_eq!(unregister(4), 102, "BROKER_ID_NOT_REGISTERED");
}

#[test]
fn a_voter_that_lost_its_data_folder_comes_back_as_a_new_one() {
    let cluster = Cluster::new(3, 3);
    let mut nodes = cluster.start(&[1, 2, 3]);
    let mut client = Client::connect(cluster.address(1));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    let (.., before) = members(&mut client, 3);
    nodes.remove(2).kill();
    std::fs::remove_dir_all(cluster.data_dir(3)).unwrap();
    let _third = cluster.start(&[3]);
    eventually("the node has its vote back", || {
        let (voters, observers, directory) = members(&mut client, 3);
        voters == [1, 2, 3] && observers.is_empty() && directory != before
    });
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
}
