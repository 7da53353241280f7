//! `ottla-broker rebalance` over real nodes: a broker that comes takes its share, one that goes
//! gives up all it has.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult,
};
use ottla_protocol::messages::{
    DescribeConfigsRequest, ListPartitionReassignmentsRequest, RemoveRaftVoterRequest, Response,
    UnregisterBrokerRequest,
};

use crate::broker::{BINARY, Client, batch, eventually};
use crate::support::{Cluster, brokers, create_topic, metadata, quorum};

const PARTITIONS: i32 = 6;

fn rebalance(cluster: &Cluster, arguments: &[&str], file: &Path) -> Command {
    let servers = format!("{},{}", cluster.address(1), cluster.address(2));
    let mut command = Command::new(BINARY);
    command.args(["rebalance", "--bootstrap-server", &servers]).args(arguments).arg(file);
    command
}

/// Runs it to its end, which must be a good one; answers what it says.
fn done(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the binary was built");
    let text = String::from_utf8(stdout).expect("it says text");
    assert!(status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&stderr));
    text
}

/// Leader and replicas of each partition of topic `t`.
fn layout(client: &mut Client) -> BTreeMap<i32, (i32, Vec<i32>)> {
    let metadata = metadata(client);
    let topic = metadata.topics.iter().find(|topic| topic.name.as_deref() == Some("t"));
    let partitions = topic.into_iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|part| (part.partition_index, (part.leader_id, part.replica_nodes.clone())))
        .collect()
}

fn replicas(client: &mut Client, id: i32) -> usize {
    layout(client).values().flat_map(|(_, replicas)| replicas).filter(|at| **at == id).count()
}

/// Appends a record to each partition at its leader.
fn produce(cluster: &Cluster, client: &mut Client, value: &[u8]) {
    for (index, (leader, _)) in layout(client) {
        let mut leader = Client::connect(cluster.address(usize::try_from(leader).unwrap()));
        assert_eq!(leader.produce("t", index, -1, batch(&[value])).error_code, 0, "{index}");
    }
}

/// The values of each partition, read from its leader.
fn values(cluster: &Cluster, client: &mut Client) -> BTreeSet<Vec<Vec<u8>>> {
    let read = |(index, (leader, _)): (i32, (i32, Vec<i32>))| {
        let mut leader = Client::connect(cluster.address(usize::try_from(leader).unwrap()));
        leader.read_all("t", index).into_iter().map(|(_, value)| value).collect()
    };
    layout(client).into_iter().map(read).collect()
}

/// Nodes 1 to 3 with topic `t`, and the fourth beside them.
fn four() -> (Cluster, Vec<crate::broker::Process>, Client, PathBuf) {
    let cluster = Cluster::new(3, 4);
    let mut nodes = cluster.start(&[1, 2, 3]);
    let mut client = Client::connect(cluster.address(1));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", PARTITIONS, 3), 0);
    eventually("there are leaders", || layout(&mut client).values().all(|(at, _)| *at != -1));
    produce(&cluster, &mut client, b"first");
    nodes.extend(cluster.start(&[4]));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3, 4]);
    let file = cluster.data_dir(0).with_extension("json");
    (cluster, nodes, client, file)
}

#[test]
fn a_new_broker_takes_its_share_and_an_old_one_is_drained_and_removed() {
    let (cluster, mut nodes, mut client, file) = four();
    let said = done(rebalance(&cluster, &["--plan"], &file));
    assert!(said.contains("broker 4: 0 -> 4 replicas"), "{said}");
    assert_eq!(replicas(&mut client, 4), 0, "a plan moves nothing");
    let said = done(rebalance(&cluster, &["--execute"], &file));
    assert!(said.ends_with("partitions are where the plan wants them\n"), "{said}");
    for id in 1..=4 {
        assert!([4, 5].contains(&replicas(&mut client, id)), "{:?}", layout(&mut client));
    }
    eventually("every broker leads", || {
        let leaders: BTreeSet<i32> = layout(&mut client).values().map(|part| part.0).collect();
        leaders == BTreeSet::from([1, 2, 3, 4])
    });
    produce(&cluster, &mut client, b"second");

    done(rebalance(&cluster, &["--drain", "3", "--plan"], &file));
    done(rebalance(&cluster, &["--execute"], &file));
    assert_eq!(replicas(&mut client, 3), 0);
    let voters = quorum(&mut client).expect("a quorum").current_voters;
    let third = voters.iter().find(|voter| voter.replica_id == 3).expect("it votes");
    let remove = RemoveRaftVoterRequest {
        cluster_id: Some("test".into()),
        voter_id: 3,
        voter_directory_id: third.replica_directory_id,
        ..Default::default()
    };
    let Response::RemoveRaftVoter(removed) = client.call(0, remove) else { panic!() };
    assert_eq!(removed.error_code, 0, "{:?}", removed.error_message);
    assert_eq!(nodes.remove(2).terminate(), Some(0));
    let unregister = UnregisterBrokerRequest { broker_id: 3, ..Default::default() };
    let Response::UnregisterBroker(gone) = client.call(0, unregister) else { panic!() };
    assert_eq!(gone.error_code, 0, "{:?}", gone.error_message);

    eventually("the others lead", || {
        layout(&mut client).values().all(|(leader, _)| ![-1, 3].contains(leader))
    });
    produce(&cluster, &mut client, b"third");
    let all = [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()].to_vec();
    assert_eq!(values(&cluster, &mut client), BTreeSet::from([all]));
    let said = done(rebalance(&cluster, &["--plan"], &file));
    assert!(said.starts_with("nothing to move"), "{said}");
}

#[test]
fn moves_are_interrupted_cancelled_and_resumed() {
    let (cluster, mut nodes, mut client, file) = four();
    let before = layout(&mut client);
    done(rebalance(&cluster, &["--plan"], &file));
    nodes.pop().expect("four run").kill();
    eventually("the fourth is fenced", || brokers(&mut client) == [1, 2, 3]);

    let mut execute = rebalance(&cluster, &["--execute"], &file);
    let mut execute = execute.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(execute.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with(" partitions are done\n"), "{line}");
    execute.kill().unwrap();
    execute.wait().unwrap();
    let mut moving = || {
        let list = ListPartitionReassignmentsRequest::default();
        let Response::ListPartitionReassignments(list) = client.call(0, list) else { panic!() };
        assert_eq!(list.error_code, 0);
        let partitions = list.topics.iter().flat_map(|topic| &topic.partitions);
        assert!(partitions.clone().all(|part| part.adding_replicas == [4]), "{list:?}");
        partitions.count()
    };
    assert_eq!(moving(), 4, "the cluster goes on by itself");
    let refused = rebalance(&cluster, &["--plan"], &file.with_extension("other")).output().unwrap();
    let reason = String::from_utf8(refused.stderr).unwrap();
    assert!(reason.contains("error: 4 partitions are being moved: "), "{reason}");

    let said = done(rebalance(&cluster, &["--cancel"], &file));
    assert!(said.starts_with("4 moves were ended"), "{said}");
    assert_eq!(moving(), 0);
    let sorted = |layout: BTreeMap<i32, (i32, Vec<i32>)>| -> Vec<BTreeSet<i32>> {
        layout.into_values().map(|(_, replicas)| replicas.into_iter().collect()).collect()
    };
    let now = layout(&mut client);
    assert_eq!(sorted(now), sorted(before));

    let _fourth = cluster.start(&[4]);
    done(rebalance(&cluster, &["--execute"], &file));
    assert_eq!(replicas(&mut client, 4), 4);
    let said = done(rebalance(&cluster, &["--execute"], &file));
    assert!(said.starts_with("all "), "{said}");
    assert_eq!(values(&cluster, &mut client), BTreeSet::from([vec![b"first".to_vec()]]));
}

#[test]
fn what_is_no_plan_is_refused_before_anything_is_moved() {
    let (_folder, folder) = crate::broker::folder();
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("plan.json");
    let refusal = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(BINARY);
        // Nobody listens there: the plan is read first.
        command.args(["rebalance", "--bootstrap-server", "127.0.0.1:1", "--execute"]).arg(&file);
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let of = |replicas: &str| format!(r#"{{"topic":"t","partition":0,"replicas":{replicas}}}"#);
    let plan = |entries: &str| format!(r#"{{"version":1,"partitions":[{entries}]}}"#);
    assert!(refusal("{").contains(" is no plan: "));
    assert!(refusal(r#"{"version":2,"partitions":[]}"#).contains("has version 2, only version 1"));
    assert!(refusal(&plan(&of("[]"))).contains("t-0 has replicas []: name one or more, each once"));
    assert!(refusal(&plan(&of("[1,1]"))).contains("t-0 has replicas [1, 1]: name one or more"));
    let twice = format!("{},{}", of("[1]"), of("[2]"));
    assert!(refusal(&plan(&twice)).contains("partition t-0 is there twice"));
}

/// KIP-73: no broker copies more in a second, replicas in sync apart.
#[test]
fn what_is_moved_keeps_the_throttle_which_goes_at_the_end() {
    const RATE: usize = 300_000;
    const VALUE: usize = 90_000;
    let cluster = Cluster::new(3, 4);
    // What one fetch brings is not held up by itself.
    let small = ["replica.fetch.response.max.bytes=100000"];
    let mut nodes = cluster.start_with(&[1, 2, 3], &small);
    let mut client = Client::connect(cluster.address(1));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", PARTITIONS, 3), 0);
    eventually("there are leaders", || layout(&mut client).values().all(|(at, _)| *at != -1));
    for _ in 0..3 {
        produce(&cluster, &mut client, &vec![b'x'; VALUE]);
    }
    nodes.extend(cluster.start_with(&[4], &small));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3, 4]);
    let file = cluster.data_dir(0).with_extension("json");
    done(rebalance(&cluster, &["--plan"], &file));
    let began = Instant::now();
    let rate = RATE.to_string();
    done(rebalance(&cluster, &["--throttle", &rate, "--execute"], &file));
    // All but what the first fetches bring, one of each leader.
    let bytes = replicas(&mut client, 4) * 3 * VALUE - 3 * 100_000;
    let least = Duration::from_secs_f64(bytes as f64 / RATE as f64);
    assert!(began.elapsed() >= least, "{bytes} bytes in {:?}", began.elapsed());

    for (resource_type, name) in [(2, "t"), (4, "1")] {
        let resource_name = name.to_owned();
        let wanted = DescribeConfigsResource {
            resource_type,
            resource_name,
            configuration_keys: None,
            ..Default::default()
        };
        let request = DescribeConfigsRequest { resources: vec![wanted], ..Default::default() };
        let Response::DescribeConfigs(answer) = client.call(4, request) else { panic!() };
        let configs = answer.results.iter().flat_map(|result| &result.configs);
        let throttles = configs.filter(|config| config.name.contains(".replication.throttled."));
        let default = |config: &&DescribeConfigsResourceResult| config.config_source == 5;
        assert_eq!(throttles.filter(default).count(), 2, "{name} has what holds without settings");
    }
}
