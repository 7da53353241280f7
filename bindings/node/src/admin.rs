//! The admin client: questions in plain data, answers in plain data.

use crate::event_loop::{Reply, Shared, Started};
use crate::tree::Tree;
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use ottla::{
    Admin, BrokerAddress, ConfigChange, ConfigEntry, ConfigResource, ConfigSource, CreatedTopic,
    Error, GroupDescription, NewTopic, OffsetSpec, Outcomes, TopicMetadata,
};
use ottla_bindings::{Class, Failure};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// An admin client of the core's.
#[napi]
pub struct NativeAdmin {
    /// `None` once closed.
    admin: Mutex<Option<Arc<Admin>>>,
    shared: Arc<Shared>,
}

/// Name, partitions, replication factor, replicas by partition, settings.
type JsNewTopic = (String, i32, i32, Vec<Vec<i32>>, Vec<(String, String)>);
/// Kind, name, and changes: operation, name, value.
type JsChanges = (String, String, Vec<(String, String, String)>);

impl NativeAdmin {
    pub(crate) fn new(admin: Admin, shared: Arc<Shared>) -> Self {
        Self { admin: Mutex::new(Some(Arc::new(admin))), shared }
    }

    fn take(&self) -> Option<Arc<Admin>> {
        self.admin.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn ask<F: Future<Output = Result<Tree, Error>> + Send + 'static>(
        &self,
        question: impl FnOnce(Arc<Admin>) -> F,
    ) -> Started {
        let admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(admin) = admin else {
            let message = "the admin client is closed: make a new one";
            return Failure::new(Class::Closed, message).into();
        };
        let answer = question(admin);
        self.shared.start(async move { answer.await.map(Reply::Tree) })
    }
}

#[napi]
impl NativeAdmin {
    /// Starts to create topics, or only to check whether that would do.
    #[napi(ts_return_type = "number | object")]
    pub fn create_topics(&self, topics: Vec<JsNewTopic>, validate_only: bool) -> Started {
        let topics: Vec<_> = topics.into_iter().map(new_topic).collect();
        self.ask(async move |admin| {
            let created = match validate_only {
                true => admin.validate_topics(topics).await?,
                false => admin.create_topics(topics).await?,
            };
            Ok(named(created, "name", |created: CreatedTopic| {
                vec![
                    ("id", created.id.map(|id| id.to_string()).into()),
                    ("partitions", created.partitions.into()),
                    ("replicationFactor", created.replication_factor.map(i32::from).into()),
                ]
            }))
        })
    }

    /// Starts to delete topics.
    #[napi(ts_return_type = "number | object")]
    pub fn delete_topics(&self, topics: Vec<String>) -> Started {
        self.ask(async move |admin| {
            Ok(named(admin.delete_topics(topics).await?, "name", |()| vec![]))
        })
    }

    /// Starts to raise topics to so many partitions.
    #[napi(ts_return_type = "number | object")]
    pub fn create_partitions(&self, topics: Vec<(String, i32)>) -> Started {
        self.ask(async move |admin| {
            Ok(named(admin.create_partitions(topics).await?, "name", |()| vec![]))
        })
    }

    /// Starts to list the topics.
    #[napi(ts_return_type = "number | object")]
    pub fn list_topics(&self) -> Started {
        self.ask(async |admin| {
            Ok(Tree::list(admin.list_topics().await?, |topic| {
                Tree::Map(vec![
                    ("name", topic.name.into()),
                    ("id", topic.id.map(|id| id.to_string()).into()),
                    ("isInternal", topic.is_internal.into()),
                ])
            }))
        })
    }

    /// Starts to describe topics.
    #[napi(ts_return_type = "number | object")]
    pub fn describe_topics(&self, topics: Vec<String>) -> Started {
        self.ask(async move |admin| {
            Ok(named(admin.describe_topics(topics).await?, "name", described_topic))
        })
    }

    /// Starts to describe the cluster.
    #[napi(ts_return_type = "number | object")]
    pub fn describe_cluster(&self) -> Started {
        self.ask(async |admin| {
            let cluster = admin.describe_cluster().await?;
            Ok(Tree::Map(vec![
                ("clusterId", cluster.cluster_id.into()),
                ("controllerId", cluster.controller_id.into()),
                ("brokers", Tree::list(cluster.brokers, broker)),
            ]))
        })
    }

    /// Starts to describe the settings of topics and brokers.
    #[napi(ts_return_type = "number | object")]
    pub fn describe_configs(&self, resources: Vec<(String, String)>) -> Started {
        let resources: Vec<_> = resources.into_iter().map(resource).collect();
        self.ask(async move |admin| {
            Ok(outcomes(admin.describe_configs(resources).await?, of_resource, |entries| {
                vec![("entries", Tree::list(entries, config_entry))]
            }))
        })
    }

    /// Starts to change settings.
    #[napi(ts_return_type = "number | object")]
    pub fn alter_configs(&self, changes: Vec<JsChanges>) -> Started {
        let change = |(operation, name, value): (String, String, String)| match &*operation {
            "delete" => ConfigChange::Delete(name),
            "append" => ConfigChange::Append(name, value),
            "subtract" => ConfigChange::Subtract(name, value),
            _ => ConfigChange::Set(name, value),
        };
        let changes: Vec<_> = changes
            .into_iter()
            .map(|(kind, name, changes)| {
                (resource((kind, name)), changes.into_iter().map(change).collect::<Vec<_>>())
            })
            .collect();
        self.ask(async move |admin| {
            Ok(outcomes(admin.alter_configs(changes).await?, of_resource, |()| vec![]))
        })
    }

    /// Starts to list the groups.
    #[napi(ts_return_type = "number | object")]
    pub fn list_groups(&self) -> Started {
        self.ask(async |admin| {
            Ok(Tree::list(admin.list_groups().await?, |group| {
                Tree::Map(vec![
                    ("groupId", group.group_id.into()),
                    ("protocolType", group.protocol_type.into()),
                    ("state", group.state.into()),
                    ("groupType", group.group_type.into()),
                ])
            }))
        })
    }

    /// Starts to describe groups.
    #[napi(ts_return_type = "number | object")]
    pub fn describe_groups(&self, groups: Vec<String>) -> Started {
        self.ask(async move |admin| {
            Ok(named(admin.describe_groups(groups).await?, "groupId", described_group))
        })
    }

    /// Starts to delete groups.
    #[napi(ts_return_type = "number | object")]
    pub fn delete_groups(&self, groups: Vec<String>) -> Started {
        self.ask(async move |admin| {
            Ok(named(admin.delete_groups(groups).await?, "groupId", |()| vec![]))
        })
    }

    /// Starts to list offsets: `earliest`, `latest`, `max-timestamp`, or those of times.
    #[napi(ts_return_type = "number | object")]
    pub fn list_offsets(&self, specs: Vec<(String, i32, Either<String, f64>)>) -> Started {
        let specs: Vec<_> = specs
            .into_iter()
            .map(|(topic, partition, spec)| ((topic, partition), offset_spec(&spec)))
            .collect();
        self.ask(async move |admin| {
            Ok(outcomes(admin.list_offsets(specs).await?, of_partition, |listed| {
                vec![
                    ("offset", Tree::Big(listed.offset)),
                    ("timestamp", number(listed.timestamp)),
                    ("leaderEpoch", listed.leader_epoch.into()),
                ]
            }))
        })
    }

    /// Starts to list what a group has committed.
    #[napi(ts_return_type = "number | object")]
    pub fn list_consumer_group_offsets(&self, group: String) -> Started {
        self.ask(async move |admin| {
            let offsets = admin.list_consumer_group_offsets(&group).await?;
            Ok(Tree::list(offsets, |(partition, committed)| {
                let mut fields = of_partition(partition);
                fields.extend([
                    ("offset", Tree::Big(committed.offset)),
                    ("leaderEpoch", committed.leader_epoch.into()),
                    ("metadata", committed.metadata.into()),
                ]);
                Tree::Map(fields)
            }))
        })
    }

    /// Starts to close; questions that are asked already are answered first.
    #[napi(ts_return_type = "number | object")]
    pub fn close(&self) -> Started {
        let admin = self.take();
        self.shared.start(async move {
            // Questions under way hold it too: the last of them ends the connections by its drop.
            if let Some(admin) = admin.and_then(Arc::into_inner) {
                admin.close().await;
            }
            Ok::<_, Failure>(Reply::Done)
        })
    }
}

type Fields = Vec<(&'static str, Tree)>;

/// Each item's own fields, then what is known about it and `error`.
fn outcomes<K, T>(
    outcomes: Outcomes<K, T>,
    own: impl Fn(K) -> Fields,
    fields: impl Fn(T) -> Fields,
) -> Tree {
    Tree::list(outcomes, |(key, outcome)| {
        let mut all = own(key);
        match outcome {
            Ok(value) => {
                all.extend(fields(value));
                all.push(("error", Tree::Null));
            }
            Err(error) => all.push(("error", Failure::from(error).into())),
        }
        Tree::Map(all)
    })
}

fn named<T>(all: Outcomes<String, T>, name: &'static str, fields: impl Fn(T) -> Fields) -> Tree {
    outcomes(all, |key| vec![(name, key.into())], fields)
}

fn of_partition((topic, partition): (String, i32)) -> Fields {
    vec![("topic", topic.into()), ("partition", partition.into())]
}

fn of_resource(resource: ConfigResource) -> Fields {
    let (kind, name) = match resource {
        ConfigResource::Topic(name) => ("topic", name),
        ConfigResource::Broker(node) => ("broker", node.to_string()),
    };
    vec![("type", kind.into()), ("name", name.into())]
}

/// JavaScript has checked that a broker's name is a number.
fn resource((kind, name): (String, String)) -> ConfigResource {
    match (&*kind, name.parse()) {
        ("broker", Ok(node)) => ConfigResource::Broker(node),
        _ => ConfigResource::Topic(name),
    }
}

fn new_topic((name, partitions, factor, assignments, configs): JsNewTopic) -> NewTopic {
    let topic = match assignments.is_empty() {
        true => NewTopic::new(name, partitions, i16::try_from(factor).unwrap_or(i16::MAX)),
        false => NewTopic::assigned(name, assignments),
    };
    configs.into_iter().fold(topic, |topic, (name, value)| topic.config(name, value))
}

fn offset_spec(spec: &Either<String, f64>) -> OffsetSpec {
    match spec {
        Either::A(name) if name == "earliest" => OffsetSpec::Earliest,
        Either::A(name) if name == "max-timestamp" => OffsetSpec::MaxTimestamp,
        Either::A(_) => OffsetSpec::Latest,
        Either::B(timestamp) => OffsetSpec::Timestamp(*timestamp as i64),
    }
}

fn number(value: Option<i64>) -> Tree {
    value.map_or(Tree::Null, |value| Tree::Number(value as f64))
}

fn broker(broker: BrokerAddress) -> Tree {
    Tree::Map(vec![
        ("nodeId", broker.node_id.into()),
        ("host", broker.host.into()),
        ("port", i32::from(broker.port).into()),
        ("rack", broker.rack.into()),
    ])
}

fn described_topic(topic: TopicMetadata) -> Fields {
    let nodes = |nodes: Vec<i32>| Tree::list(nodes, Tree::from);
    let partitions = Tree::list(topic.partitions, |partition| {
        Tree::Map(vec![
            ("partition", partition.index.into()),
            ("leader", partition.leader.into()),
            ("leaderEpoch", partition.leader_epoch.into()),
            ("replicas", nodes(partition.replicas)),
            ("isr", nodes(partition.isr)),
            ("offlineReplicas", nodes(partition.offline_replicas)),
        ])
    });
    vec![
        ("id", topic.id.to_string().into()),
        ("isInternal", topic.is_internal.into()),
        ("partitions", partitions),
    ]
}

fn described_group(group: GroupDescription) -> Fields {
    let members = Tree::list(group.members, |member| {
        let assignment = Tree::list(member.assignment, |p| Tree::Map(of_partition(p)));
        Tree::Map(vec![
            ("memberId", member.member_id.into()),
            ("groupInstanceId", member.group_instance_id.into()),
            ("clientId", member.client_id.into()),
            ("clientHost", member.client_host.into()),
            ("assignment", assignment),
        ])
    });
    vec![
        ("state", group.state.into()),
        ("protocolType", group.protocol_type.into()),
        ("protocol", group.protocol.into()),
        ("members", members),
    ]
}

fn config_entry(entry: ConfigEntry) -> Tree {
    let source = match entry.source {
        ConfigSource::Topic => "topic",
        ConfigSource::DynamicBroker => "dynamic-broker",
        ConfigSource::DynamicDefaultBroker => "dynamic-default-broker",
        ConfigSource::StaticBroker => "static-broker",
        ConfigSource::Default => "default",
        _ => "other",
    };
    Tree::Map(vec![
        ("name", entry.name.into()),
        ("value", entry.value.into()),
        ("source", source.into()),
        ("isReadOnly", entry.is_read_only.into()),
        ("isSensitive", entry.is_sensitive.into()),
    ])
}
