//! The cluster and its groups, described.

use std::collections::BTreeMap;

use ottla::{Admin, Consumer};
use ottla_interop::topic;

use crate::records::make_topic;

pub(crate) async fn cluster_and_groups_are_described(bootstrap: &'static str) {
    let admin = Admin::builder().bootstrap_servers(bootstrap).build().await.unwrap();
    let cluster = admin.describe_cluster().await.unwrap();
    assert_eq!(cluster.brokers.len(), 1);

    let name = topic("described");
    make_topic(bootstrap, &name, 2).await;
    let consumer = Consumer::builder()
        .bootstrap_servers(bootstrap)
        .group_id(&name)
        .topics([name.as_str()])
        .auto_offset_reset("earliest")
        .build()
        .await
        .unwrap();
    let describe = async || {
        let mut groups = admin.describe_groups([name.as_str()]).await.unwrap();
        groups.remove(&name).unwrap()
    };
    // Joining goes on in the background.
    let group = loop {
        match describe().await {
            Ok(group) if group.state == "Stable" => break group,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!((group.protocol_type.as_str(), group.protocol.as_str()), ("consumer", "range"));
    assert_eq!(group.members.len(), 1);
    assert!(admin.list_groups().await.unwrap().iter().any(|group| group.group_id == name));

    consumer.commit_offsets([((name.as_str(), 0), 0), ((name.as_str(), 1), 0)]).await.unwrap();
    let committed = admin.list_consumer_group_offsets(&name).await.unwrap();
    let offsets: BTreeMap<i32, i64> =
        committed.iter().map(|((_, partition), offset)| (*partition, offset.offset)).collect();
    assert_eq!(offsets, BTreeMap::from([(0, 0), (1, 0)]));
    consumer.close().await.unwrap();
    while describe().await.is_ok_and(|group| !group.members.is_empty()) {}
    let deleted = admin.delete_groups([name.as_str()]).await.unwrap();
    deleted[&name].clone().unwrap();
    admin.close().await;
}
