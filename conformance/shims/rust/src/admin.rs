//! `admin`.

use crate::lines::{Config, Input, configure, failure, say};
use ottla::{Admin, AdminBuilder, Error, NewTopic};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Task {
    bootstrap: String,
    #[serde(default)]
    config: Config,
}

#[derive(Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
enum Operation {
    CreateTopic { topic: String, partitions: i32, replication: i16 },
    DeleteTopic { topic: String },
    ListTopics,
    DescribeTopic { topic: String },
}

pub(crate) async fn run(mut input: Input) -> Result<(), Box<dyn std::error::Error>> {
    let task: Task = input.task().await?;
    let admin = connect(&task).await;
    while let Some(operation) = input.next::<Operation>().await? {
        let answer = match &admin {
            Ok(admin) => operate(admin, operation).await,
            Err(error) => Err(error.clone()),
        };
        say(&answer.unwrap_or_else(|error| json!({"error": failure(&error)})));
    }
    if let Ok(admin) = admin {
        admin.close().await;
    }
    Ok(())
}

async fn connect(task: &Task) -> Result<Admin, Error> {
    let builder =
        configure(&task.config, |builder: AdminBuilder, name, value| builder.set(name, value))?;
    builder.bootstrap_servers(&task.bootstrap).build().await
}

async fn operate(admin: &Admin, operation: Operation) -> Result<Value, Error> {
    match operation {
        Operation::CreateTopic { topic, partitions, replication } => {
            admin.create_topic(NewTopic::new(topic, partitions, replication)).await?;
            Ok(json!({"ok": true}))
        }
        Operation::DeleteTopic { topic } => {
            for (_, deleted) in admin.delete_topics([topic]).await? {
                deleted?;
            }
            Ok(json!({"ok": true}))
        }
        Operation::ListTopics => {
            let topics = admin.list_topics().await?;
            let names: Vec<_> = topics.into_iter().map(|topic| topic.name).collect();
            Ok(json!({"topics": names}))
        }
        Operation::DescribeTopic { topic } => {
            let mut partitions = Vec::new();
            for (_, described) in admin.describe_topics([topic]).await? {
                partitions.extend(described?.partitions.iter().map(|partition| {
                    let leader = partition.leader.unwrap_or(-1);
                    json!({"partition": partition.index, "leader": leader})
                }));
            }
            Ok(json!({"partitions": partitions}))
        }
    }
}
