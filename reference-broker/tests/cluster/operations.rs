//! What operators see and do: metrics and health of several nodes, logs, settings at run time, a
//! node that moves, a controller that ends.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use ottla_protocol::messages::describe_configs::DescribeConfigsResource;
use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, Response, UnregisterBrokerRequest,
};

use crate::broker::{BINARY, Client, Lines, Process, ask, eventually, folder, value};
use crate::support::{Cluster, brokers, create_topic, metadata, quorum};

/// Three nodes with metrics.
struct Watched {
    nodes: Vec<Option<Process>>,
    ops: Vec<SocketAddr>,
}

impl Watched {
    fn start(cluster: &Cluster) -> Self {
        let started: Vec<(Process, SocketAddr)> = std::thread::scope(|scope| {
            let start = |id| {
                let command = move || cluster.command(id, &["ops.listener=127.0.0.1:0"]);
                scope.spawn(move || Process::start_with_ops(&mut command()))
            };
            let started: Vec<_> = (1..=3).map(start).collect();
            started.into_iter().map(|node| node.join().expect("the node starts")).collect()
        });
        let (nodes, ops) = started.into_iter().map(|(node, ops)| (Some(node), ops)).unzip();
        Self { nodes, ops }
    }

    fn kill(&mut self, id: i32) {
        let at = usize::try_from(id).expect("an id") - 1;
        self.nodes[at].take().expect("it runs").kill();
    }

    fn alive(&self) -> impl Iterator<Item = SocketAddr> {
        self.nodes.iter().zip(&self.ops).filter(|(node, _)| node.is_some()).map(|(_, ops)| *ops)
    }

    /// A metric, over all nodes that are alive.
    fn sum(&self, metric: &str) -> f64 {
        let metric = format!("ottla_broker_{metric}");
        self.alive().map(|ops| value(&ask(ops, "GET", "/metrics").body, &metric)).sum()
    }
}

#[test]
fn metrics_and_health_follow_the_loss_of_nodes() {
    let cluster = Cluster::new(3, 3);
    let mut watched = Watched::start(&cluster);
    let mut client = Client::connect(cluster.address(1));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", 6, 3), 0);
    eventually("every node leads what it should", || watched.sum("leader_count") == 6.0);
    assert_eq!(watched.sum("active_controller"), 1.0);
    assert_eq!(watched.sum("raft_voters"), 9.0);
    assert_eq!(watched.sum("under_replicated_partitions"), 0.0);
    assert_eq!(watched.sum("global_partition_count"), 18.0, "on every node");
    eventually("every follower has fetched", || {
        let pages = watched.alive().map(|ops| ask(ops, "GET", "/metrics").body);
        let lags = pages.map(|text| text.matches("\nottla_broker_replica_lag{").count());
        lags.sum::<usize>() == 12
    });

    let controller = metadata(&mut client).controller_id;
    let victim = controller % 3 + 1;
    watched.kill(victim);
    eventually("the loss is counted", || {
        watched.sum("under_replicated_partitions") == 6.0
            && watched.sum("fenced_broker_count") == 2.0
            && watched.sum("leader_count") == 6.0
    });
    let led = watched.sum("leader_elections_total");
    assert_eq!(led, 2.0, "each of three brokers led two of six partitions");
    assert_eq!(watched.sum("isr_shrinks_total"), 6.0);
    assert_eq!(watched.sum("offline_partitions_count"), 0.0);
    for ops in watched.alive() {
        assert_eq!(ask(ops, "GET", "/health").status, 200);
    }

    watched.kill(controller);
    let left = watched.alive().next().expect("one is left");
    eventually("what is left knows that it decides nothing", || {
        let health = ask(left, "GET", "/health");
        health.status == 503 && health.body.contains("no controller")
    });
    assert_eq!(watched.sum("raft_current_leader"), -1.0);
}

#[test]
fn a_broker_that_is_unregistered_is_not_healthy() {
    let cluster = Cluster::new(3, 3);
    let watched = Watched::start(&cluster);
    let mut client = Client::connect(cluster.address(1));
    let request = UnregisterBrokerRequest { broker_id: 2, ..Default::default() };
    let Response::UnregisterBroker(response) = client.call(0, request) else { panic!() };
    assert_eq!(response.error_code, 0);
    eventually("it says so", || {
        let health = ask(watched.ops[1], "GET", "/health");
        health.status == 503 && health.body.contains("unregistered this broker")
    });
    assert_eq!(ask(watched.ops[0], "GET", "/health").status, 200);
}

#[test]
fn a_controller_that_is_asked_to_end_leaves_another_one_behind() {
    let cluster = Cluster::new(3, 3);
    let mut nodes = cluster.start(&[1, 2, 3]);
    let mut client = Client::connect(cluster.address(1));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", 6, 3), 0);
    let controller = metadata(&mut client).controller_id;
    let at = usize::try_from(controller).unwrap() - 1;
    let other = (at + 1) % 3 + 1;
    let mut client = Client::connect(cluster.address(other));
    assert_eq!(nodes.remove(at).terminate(), Some(0));
    let after = metadata(&mut client);
    assert!(![-1, controller].contains(&after.controller_id), "{}", after.controller_id);
    let mut parts = after.topics.iter().flat_map(|topic| &topic.partitions);
    assert!(parts.all(|part| ![-1, controller].contains(&part.leader_id)), "{after:?}");
    assert_eq!(create_topic(&mut client, "at-once", 1, 2), 0);
}

#[test]
fn a_node_without_a_vote_is_found_at_its_new_address() {
    let cluster = Cluster::new(3, 4);
    let _three = cluster.start(&[1, 2, 3]);
    let mut client = Client::connect(cluster.address(1));
    for fourth in cluster.start(&[4]) {
        assert_eq!(fourth.terminate(), Some(0));
    }
    let listeners = "listeners=PLAINTEXT://127.0.0.1:0,INTERNAL://127.0.0.1:0";
    let moved = Process::start_with(&mut cluster.command(4, &[listeners]));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3, 4]);
    assert_eq!(create_topic(&mut client, "t", 1, 4), 0);
    let mut of_moved = moved.connect();
    eventually("it follows the metadata and the partition", || {
        let seen = metadata(&mut of_moved);
        seen.topics.iter().any(|topic| topic.partitions[0].isr_nodes.len() == 4)
    });
    let observers = quorum(&mut client).expect("a quorum").observers;
    assert_eq!(observers.iter().map(|node| node.replica_id).collect::<Vec<_>>(), [4]);
}

/// Sets a broker's property; the empty name is all brokers.
fn set(client: &mut Client, broker: &str, name: &str, value: &str) -> i16 {
    let config =
        AlterableConfig { name: name.into(), value: Some(value.into()), ..Default::default() };
    let resource = AlterConfigsResource {
        resource_type: 4,
        resource_name: broker.into(),
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let Response::IncrementalAlterConfigs(response) = client.call(1, request) else { panic!() };
    response.responses[0].error_code
}

/// The value in force and where it comes from.
fn setting(client: &mut Client, broker: &str, name: &str) -> (String, i8) {
    let resource = DescribeConfigsResource {
        resource_type: 4,
        resource_name: broker.into(),
        configuration_keys: Some(vec![name.into()]),
        ..Default::default()
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let Response::DescribeConfigs(response) = client.call(4, request) else { panic!() };
    let config = &response.results[0].configs[0];
    (config.value.clone().unwrap_or_default(), config.config_source)
}

#[test]
fn settings_at_run_time_are_the_clusters_and_outlive_it() {
    let name = "max.connections.per.ip";
    let cluster = Cluster::new(3, 3);
    let nodes = cluster.start(&[1, 2, 3]);
    let (mut one, mut two) = (nodes[0].connect(), nodes[1].connect());
    assert_eq!(setting(&mut one, "1", name).1, 5, "the default");
    assert_eq!(set(&mut one, "", name, "40"), 0);
    assert_eq!(set(&mut two, "2", name, "1"), 0);
    assert_eq!(set(&mut two, "2", "node.id", "7"), 42, "INVALID_REQUEST: not at run time");
    assert_eq!(set(&mut two, "2", name, "many"), 40, "INVALID_CONFIG");
    for id in 1..=3 {
        let mut client = Client::connect(cluster.address(id));
        let expected = if id == 2 { ("1".to_owned(), 2) } else { ("40".to_owned(), 3) };
        let broker = id.to_string();
        let mut is_set = || setting(&mut client, &broker, name) == expected;
        if id == 2 {
            continue;
        }
        eventually("every broker has the setting", &mut is_set);
    }
    assert_eq!(setting(&mut two, "2", name), ("1".to_owned(), 2));
    assert!(Client::connect(cluster.address(2)).is_closed(), "one connection is there already");
    drop((one, two));
    nodes.into_iter().for_each(Process::kill);

    let _nodes = cluster.start(&[1, 2, 3]);
    let mut again = Client::connect(cluster.address(2));
    assert_eq!(setting(&mut again, "2", name), ("1".to_owned(), 2));
    assert!(Client::connect(cluster.address(2)).is_closed(), "in force from the start");
}

#[test]
fn the_log_has_a_json_object_a_line_and_nothing_of_openraft() {
    let (holder, data) = folder();
    let file = holder.path().join("server.properties");
    let cluster = Cluster::new(1, 1);
    let internal = cluster.internal_port(1);
    let text = format!(
        "node.id=1\ncluster.id=c\nlog.dirs={}\nbroker.heartbeat.interval.ms=100\n\
         listeners=PLAINTEXT://127.0.0.1:0,INTERNAL://127.0.0.1:{internal}\n\
         controller.quorum.voters=1@127.0.0.1:{internal}\n",
        data.display()
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["run", "--log-format", "json", "--config"]).arg(&file);
    command.env_remove("OTTLA_LOG").stderr(Stdio::piped());
    let mut node = Process::start_with(&mut command);
    let log = Lines::of(node.child.stderr.take().expect("it is a pipe"));
    assert_eq!(node.terminate(), Some(0));
    let lines = log.rest();
    for line in &lines {
        assert!(line.starts_with("{\"timestamp\":\"") && line.ends_with('}'), "{line}");
        assert!(line.contains("\"level\":\"") && line.contains("\"message\":\""), "{line}");
        assert!(!line.contains("openraft"), "{line}");
    }
    assert!(lines.iter().any(|line| line.contains("formed a new quorum")), "{lines:?}");
    assert!((2..20).contains(&lines.len()), "{lines:?}");
}
