//! Metadata: which topics are told, and whether what is told holds together.

use super::common::metadata_of;
use super::told::Told;
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step, error_name, resolve};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::Wire;
use ottla_protocol::Uuid;
use ottla_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};
use ottla_protocol::messages::{ApiKey, Request};
use std::collections::BTreeSet;

/// "Not asked for", in fields of authorised operations.
const NOT_ASKED: i32 = i32::MIN;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "metadata/all-topics",
        Core,
        (ApiKey::Metadata, 0),
        all_topics,
        &["K-METADATA-001", "K-METADATA-002", "K-METADATA-008"],
    ),
    Case::each(
        "metadata/no-topics",
        Core,
        (ApiKey::Metadata, 1),
        no_topics,
        &["K-METADATA-003", "K-METADATA-004"],
    ),
    Case::each(
        "metadata/unknown-beside-known",
        Core,
        (ApiKey::Metadata, 0),
        unknown_beside_known,
        &["K-METADATA-005", "K-METADATA-006"],
    ),
    Case::each(
        "metadata/creates-when-asked",
        Core,
        (ApiKey::Metadata, 0),
        creates_when_asked,
        &["K-METADATA-009"],
    ),
    Case::each(
        "metadata/creates-nothing",
        Core,
        (ApiKey::Metadata, 4),
        creates_nothing,
        &["K-METADATA-007"],
    ),
    Case::each(
        "metadata/invalid-names",
        Core,
        (ApiKey::Metadata, 0),
        invalid_names,
        &["K-METADATA-010", "K-METADATA-011"],
    ),
    Case::each(
        "metadata/topic-ids",
        Core,
        (ApiKey::Metadata, 10),
        topic_ids,
        &["K-METADATA-012", "K-METADATA-013", "K-METADATA-014", "K-METADATA-015", "K-METADATA-016"],
    ),
    Case::each(
        "metadata/holds-together",
        Core,
        (ApiKey::Metadata, 0),
        holds_together,
        &[
            "K-METADATA-017",
            "K-METADATA-018",
            "K-METADATA-019",
            "K-METADATA-020",
            "K-METADATA-021",
            "K-METADATA-022",
            "K-METADATA-029",
            "K-METADATA-030",
        ],
    ),
    Case::each(
        "metadata/cluster",
        Core,
        (ApiKey::Metadata, 1),
        cluster,
        &["K-METADATA-023", "K-METADATA-024", "K-METADATA-025"],
    ),
    Case::each(
        "metadata/leader-epochs",
        Core,
        (ApiKey::Metadata, 7),
        leader_epochs,
        &["K-METADATA-026", "K-METADATA-027"],
    ),
    Case::each(
        "metadata/named-twice",
        Core,
        (ApiKey::Metadata, 0),
        named_twice,
        &["K-METADATA-028"],
    ),
    Case::each(
        "metadata/authorised-operations",
        Core,
        (ApiKey::Metadata, 8),
        authorised_operations,
        &["K-METADATA-031", "K-METADATA-032", "K-METADATA-033"],
    ),
    Case::each(
        "metadata/internal-topics",
        Core,
        (ApiKey::Metadata, 1),
        internal_topics,
        &["K-METADATA-034", "K-METADATA-035"],
    ),
    Case::each(
        "metadata/a-new-topic-is-known",
        Core,
        (ApiKey::Metadata, 0),
        a_new_topic_is_known,
        &["K-METADATA-036"],
    ),
];

fn ask(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    request: &Request,
) -> Step<MetadataResponse> {
    context.call(statement, wire, request)
}

fn all(version: i16) -> Request {
    let topics = if version == 0 { Some(Vec::new()) } else { None };
    Request::Metadata(Box::new(MetadataRequest { topics, ..Default::default() }))
}

fn by_id(id: Uuid) -> Request {
    let topic = MetadataRequestTopic { topic_id: id, name: None, ..Default::default() };
    let topics = Some(vec![topic]);
    Request::Metadata(Box::new(MetadataRequest {
        topics,
        allow_auto_topic_creation: false,
        ..Default::default()
    }))
}

fn find<'a>(answer: &'a MetadataResponse, name: &str) -> Vec<&'a MetadataResponseTopic> {
    answer.topics.iter().filter(|topic| topic.name.as_deref() == Some(name)).collect()
}

/// The one entry of a topic.
fn one<'a>(
    context: &mut Context<'_>,
    statement: &'static str,
    answer: &'a MetadataResponse,
    name: &str,
) -> Step<&'a MetadataResponseTopic> {
    let found = find(answer, name);
    context.must(statement, found.len() == 1, || {
        format!("topic {name} should have one entry; it has {}", found.len())
    })?;
    Ok(found[0])
}

fn all_topics(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let statement = if version == 0 { "K-METADATA-001" } else { "K-METADATA-002" };
    let (name, mut wire) = context.topic(1)?;
    let answer = ask(context, &mut wire, statement, &all(version))?;
    one(context, statement, &answer, &name)?;
    if version >= 1 {
        // Other tests make topics meanwhile; an entry without a topic behind it has an error.
        let unknown = answer.topics.iter().find(|topic| topic.error_code == 3);
        context.must("K-METADATA-008", unknown.is_none(), || {
            format!("a request for all topics answers with {}", unknown.told())
        })?;
    }
    Ok(())
}

fn no_topics(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let (_, mut wire) = context.topic(1)?;
    let answer = ask(context, &mut wire, "K-METADATA-003", &metadata_of(version, &[]))?;
    context.must("K-METADATA-003", answer.topics.is_empty(), || {
        format!("an empty list was answered with {} topics", answer.topics.len())
    })?;
    context.must("K-METADATA-004", !answer.brokers.is_empty(), || "no brokers".to_owned())
}

fn unknown_beside_known(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let (known, mut wire) = context.topic(1)?;
    // Before version 4 asking may create: a name that differs for every version.
    let unknown = context.name();
    let request = metadata_of(version, &[&known, &unknown]);
    let answer = ask(context, &mut wire, "K-METADATA-006", &request)?;
    let entry = one(context, "K-METADATA-006", &answer, &known)?;
    context.must("K-METADATA-006", entry.error_code == 0 && entry.partitions.len() == 1, || {
        format!("a known topic beside an unknown one: {}", entry.told())
    })?;
    let entry = one(context, "K-METADATA-005", &answer, &unknown)?;
    // LEADER_NOT_AVAILABLE where it is being created.
    let fits = entry.error_code == 3 || (version < 4 && matches!(entry.error_code, 0 | 5));
    context.must("K-METADATA-005", fits, || {
        format!("an unknown topic: {}", error_name(entry.error_code))
    })
}

fn creates_when_asked(context: &mut Context<'_>) -> Step {
    let (statement, version, name) = ("K-METADATA-009", context.version(), context.name());
    let mut request = metadata_of(version, &[&name]);
    if let Request::Metadata(request) = &mut request {
        request.allow_auto_topic_creation = true;
    }
    let mut wire = context.connect()?;
    let until = context.deadline();
    loop {
        let answer = ask(context, &mut wire, statement, &request)?;
        let entry = one(context, statement, &answer, &name)?;
        let code = entry.error_code;
        context.must(statement, matches!(code, 0 | 3 | 5), || {
            format!("a topic that is created by asking for it: {}", error_name(code))
        })?;
        // With error 0 a partition may be without its leader for a while.
        let mut partitions = entry.partitions.iter();
        if code == 0 && partitions.any(|one| one.error_code == 0 && one.leader_id >= 0) {
            return Ok(());
        }
        if code == 3 && std::time::Instant::now() >= until {
            let what = "a name that is asked for stays UNKNOWN_TOPIC_OR_PARTITION (3): automatic \
                        creation is off";
            return Err(Stop::unsupported(what));
        }
        context.must_before(statement, until, || {
            format!("the topic is not usable in time: {}", error_name(code))
        })?;
    }
}

fn creates_nothing(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let unknown = context.name();
    let mut wire = context.connect()?;
    for _ in 0..2 {
        let request = metadata_of(version, &[&unknown]);
        let answer = ask(context, &mut wire, "K-METADATA-007", &request)?;
        let entry = one(context, "K-METADATA-007", &answer, &unknown)?;
        context.must("K-METADATA-007", entry.error_code == 3, || {
            format!("without automatic creation: {}", error_name(entry.error_code))
        })?;
    }
    let answer = ask(context, &mut wire, "K-METADATA-007", &all(version))?;
    context.must("K-METADATA-007", find(&answer, &unknown).is_empty(), || {
        format!("topic {unknown} was created")
    })
}

fn invalid_names(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let mut wire = context.connect()?;
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a/b", "größe", "a b", &long] {
        let topics = vec![MetadataRequestTopic { name: Some(name.into()), ..Default::default() }];
        let request = MetadataRequest { topics: Some(topics), ..Default::default() };
        let request = Request::Metadata(Box::new(request));
        let answer = ask(context, &mut wire, "K-METADATA-010", &request)?;
        let code = answer.topics.first().map(|topic| topic.error_code);
        context.must("K-METADATA-010", code == Some(17), || {
            let code = code.map_or("no entry".to_owned(), error_name);
            format!("the name {name:?} should be INVALID_TOPIC_EXCEPTION (17); it is {code}")
        })?;
        let answer = ask(context, &mut wire, "K-METADATA-011", &all(version))?;
        context.must("K-METADATA-011", find(&answer, name).is_empty(), || {
            format!("a topic named {name:?} was created")
        })?;
    }
    Ok(())
}

fn topic_ids(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let (name, mut wire) = context.topic(1)?;
    let answer = ask(context, &mut wire, "K-METADATA-016", &metadata_of(version, &[&name]))?;
    let id = one(context, "K-METADATA-016", &answer, &name)?.topic_id;
    context.must("K-METADATA-016", !id.is_zero(), || "the topic's id is zero".to_owned())?;
    if version < 12 {
        // A null name is written only with an id, which Apache Kafka refuses before version 12.
        let answer = ask(context, &mut wire, "K-METADATA-015", &by_id(id))?;
        let code = answer.topics.first().map(|topic| topic.error_code);
        return context.must("K-METADATA-015", code == Some(42), || {
            let code = code.map_or("no entry".to_owned(), error_name);
            format!("a topic by id in version {version} should be INVALID_REQUEST; it is {code}")
        });
    }
    let answer = ask(context, &mut wire, "K-METADATA-014", &by_id(id))?;
    let entry = one(context, "K-METADATA-014", &answer, &name)?;
    context.must("K-METADATA-014", entry.error_code == 0 && entry.topic_id == id, || {
        format!("a topic by its id: {}", entry.told())
    })?;
    let unknown = Uuid([0x5a; 16]);
    let answer = ask(context, &mut wire, "K-METADATA-012", &by_id(unknown))?;
    let entry = answer.topics.iter().find(|topic| topic.topic_id == unknown);
    let code = entry.map(|topic| topic.error_code);
    context.must("K-METADATA-012", code == Some(100), || {
        let code = code.map_or("no entry".to_owned(), error_name);
        format!("an unknown topic id should be UNKNOWN_TOPIC_ID (100); it is {code}")
    })?;
    let name = entry.and_then(|topic| topic.name.clone());
    context.must("K-METADATA-013", name.is_none(), || format!("it has the name {}", name.told()))
}

fn holds_together(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let (name, mut wire) = context.topic(3)?;
    let answer = ask(context, &mut wire, "K-METADATA-018", &metadata_of(version, &[&name]))?;
    let brokers: BTreeSet<i32> = answer.brokers.iter().map(|broker| broker.node_id).collect();
    let topic = one(context, "K-METADATA-029", &answer, &name)?;
    context.must(
        "K-METADATA-029",
        topic.error_code != 0 || !topic.partitions.is_empty(),
        || "error 0 and no partitions".to_owned(),
    )?;
    let mut indexes: Vec<i32> = topic.partitions.iter().map(|p| p.partition_index).collect();
    indexes.sort_unstable();
    context.must("K-METADATA-030", indexes == [0, 1, 2], || {
        format!("a topic of three partitions lists {indexes:?}")
    })?;
    for partition in &topic.partitions {
        let (at, leader) = (partition.partition_index, partition.leader_id);
        let statement = if version == 0 { "K-METADATA-017" } else { "K-METADATA-018" };
        context.must(statement, leader == -1 || brokers.contains(&leader), || {
            format!("partition {at} is led by {leader}; the brokers are {brokers:?}")
        })?;
        if leader == -1 {
            context.must("K-METADATA-019", partition.error_code == 5, || {
                format!("partition {at} has no leader and {}", error_name(partition.error_code))
            })?;
        }
        let replicas: BTreeSet<i32> = partition.replica_nodes.iter().copied().collect();
        let strays: Vec<_> = partition.isr_nodes.iter().filter(|n| !replicas.contains(n)).collect();
        context.must("K-METADATA-022", strays.is_empty(), || {
            format!("partition {at}: {strays:?} are in sync and no replicas")
        })?;
        if version >= 5 {
            let offline = &partition.offline_replicas;
            let gone = replicas.iter().filter(|node| !brokers.contains(node));
            let untold: Vec<_> = gone.filter(|node| !offline.contains(node)).collect();
            context.must("K-METADATA-020", untold.is_empty(), || {
                format!("partition {at}: replicas {untold:?} are no brokers and not offline")
            })?;
        }
    }
    for broker in &answer.brokers {
        let address = resolve(&broker.host, broker.port)?;
        let connected = context.connect_to(address);
        let node = broker.node_id;
        context.must("K-METADATA-021", connected.is_ok(), || {
            format!("broker {node} at {address} does not accept connections")
        })?;
    }
    Ok(())
}

fn cluster(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let mut wire = context.connect()?;
    let answer = ask(context, &mut wire, "K-METADATA-025", &metadata_of(version, &[]))?;
    let controller = answer.controller_id;
    let is_broker = answer.brokers.iter().any(|broker| broker.node_id == controller);
    context.must("K-METADATA-025", controller == -1 || is_broker, || {
        format!("the controller {controller} is none of the brokers")
    })?;
    if version < 2 {
        return Ok(());
    }
    let id = answer.cluster_id;
    context.must("K-METADATA-023", id.is_some(), || "the cluster id is null".to_owned())?;
    for broker in &answer.brokers {
        let mut wire = context.connect_to(resolve(&broker.host, broker.port)?)?;
        let other = ask(context, &mut wire, "K-METADATA-024", &metadata_of(version, &[]))?;
        context.must("K-METADATA-024", other.cluster_id == id, || {
            let (node, theirs) = (broker.node_id, &other.cluster_id);
            format!(
                "broker {node} says {}, the one that was reached first {}",
                theirs.told(),
                id.told()
            )
        })?;
    }
    Ok(())
}

fn leader_epochs(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let (name, mut wire) = context.topic(3)?;
    let mut before = [-1; 3];
    for _ in 0..3 {
        let answer = ask(context, &mut wire, "K-METADATA-026", &metadata_of(version, &[&name]))?;
        let topic = one(context, "K-METADATA-026", &answer, &name)?;
        for partition in topic.partitions.iter().filter(|p| p.leader_id >= 0) {
            let (at, epoch) = (partition.partition_index, partition.leader_epoch);
            context.must("K-METADATA-026", epoch >= 0, || {
                format!("partition {at} has a leader and leader epoch {epoch}")
            })?;
            let seen = usize::try_from(at).ok().and_then(|at| before.get_mut(at));
            let Some(seen) = seen else {
                return context.must("K-METADATA-026", false, || {
                    format!("partition {at} is none of the topic's")
                });
            };
            context.must("K-METADATA-027", epoch >= *seen, || {
                format!("the leader epoch of partition {at} fell from {seen} to {epoch}")
            })?;
            *seen = epoch;
        }
    }
    Ok(())
}

fn named_twice(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let (name, mut wire) = context.topic(1)?;
    let request = metadata_of(version, &[&name, &name]);
    let answer = ask(context, &mut wire, "K-METADATA-028", &request)?;
    one(context, "K-METADATA-028", &answer, &name)?;
    Ok(())
}

fn authorised_operations(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let (name, mut wire) = context.topic(1)?;
    let answer = ask(context, &mut wire, "K-METADATA-032", &metadata_of(version, &[&name]))?;
    if version <= 10 {
        let operations = answer.cluster_authorized_operations;
        context.must("K-METADATA-031", operations == NOT_ASKED, || {
            format!("ClusterAuthorizedOperations was not asked for and is {operations}")
        })?;
    }
    let operations = one(context, "K-METADATA-032", &answer, &name)?.topic_authorized_operations;
    context.must("K-METADATA-032", operations == NOT_ASKED, || {
        format!("TopicAuthorizedOperations was not asked for and is {operations}")
    })?;
    let Request::Metadata(mut request) = metadata_of(version, &[&name]) else {
        return Err(Stop::harness("another request"));
    };
    request.include_topic_authorized_operations = true;
    let answer = ask(context, &mut wire, "K-METADATA-033", &Request::Metadata(request))?;
    let operations = one(context, "K-METADATA-033", &answer, &name)?.topic_authorized_operations;
    context.must("K-METADATA-033", operations >= 0, || {
        format!("TopicAuthorizedOperations was asked for and is {operations}")
    })
}

fn internal_topics(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let (name, mut wire) = context.topic(1)?;
    let answer = ask(context, &mut wire, "K-METADATA-035", &all(version))?;
    let entry = one(context, "K-METADATA-035", &answer, &name)?;
    context.must("K-METADATA-035", !entry.is_internal, || {
        "a topic that this client created is called internal".to_owned()
    })?;
    if let Some(entry) = find(&answer, "__consumer_offsets").first() {
        context.must("K-METADATA-034", entry.is_internal, || {
            "__consumer_offsets is not called internal".to_owned()
        })?;
    }
    Ok(())
}

fn a_new_topic_is_known(context: &mut Context<'_>) -> Step {
    let version = context.version();
    // `topic` waits, in the highest version, until it has leaders.
    let (name, mut wire) = context.topic(2)?;
    let answer = ask(context, &mut wire, "K-METADATA-036", &metadata_of(version, &[&name]))?;
    let entry = one(context, "K-METADATA-036", &answer, &name)?;
    context.must("K-METADATA-036", entry.error_code == 0 && entry.partitions.len() == 2, || {
        format!("a topic of two partitions that was just created: {}", entry.told())
    })
}
