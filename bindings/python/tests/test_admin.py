"""What administrators do."""

import pytest

import ottla
from support import eventually, member, new_topic, send_all, take, unique, untyped


def test_admin_creates_lists_describes_deletes(broker: str) -> None:
    one, two, missing = unique("one"), unique("two"), unique("missing")
    with ottla.Admin(bootstrap_servers=broker) as admin:
        new = ottla.NewTopic(one, 2, 1, {"retention.ms": 3_600_000})
        assert admin.create_topic(new).partitions == 2
        assert set(admin.create_topics([ottla.NewTopic(two)], validate_only=True)) == {two}
        assert set(admin.create_topics([two])) == {two}
        eventually(lambda: {one, two} <= {topic.name for topic in admin.list_topics()})
        assert missing not in {topic.name for topic in admin.list_topics()}
        described = admin.describe_topics([one])[one]
        assert [one.partition for one in described.partitions] == [0, 1]
        assert described.partitions[0].leader in described.partitions[0].isr
        assert admin.create_partitions({one: 3}) == {one: None}
        outcomes = admin.describe_topics([one, missing], return_exceptions=True)
        assert isinstance(outcomes[missing], ottla.NotFoundError)
        grown = outcomes[one]
        assert isinstance(grown, ottla.TopicDescription)
        cluster = admin.describe_cluster()
        assert cluster.cluster_id and cluster.brokers[0].port > 0
        assert admin.delete_topics([two]) == {two: None}
        eventually(lambda: two not in {topic.name for topic in admin.list_topics()})
        with pytest.raises(ottla.NotFoundError):
            admin.describe_topics([missing])


def test_admin_describes_and_alters_configs(broker: str) -> None:
    topic = new_topic(broker, "configs", **{"retention.ms": 3_600_000})
    resource = ottla.ConfigResource.topic(topic)
    with ottla.Admin(bootstrap_servers=broker) as admin:

        def told(name: str) -> ottla.ConfigEntry:
            return admin.describe_configs([resource])[resource][name]

        eventually(lambda: told("retention.ms").value == "3600000")
        assert told("retention.ms").source == "topic"
        admin.alter_configs({resource: {"retention.ms": 7_200_000, "cleanup.policy": "compact"}})
        admin.alter_configs({resource: {"cleanup.policy": ottla.ConfigChange("append", "delete")}})
        eventually(lambda: told("retention.ms").value == "7200000")
        eventually(lambda: told("cleanup.policy").value == "compact,delete")
        admin.alter_configs({resource: {"retention.ms": None}})
        eventually(lambda: told("retention.ms").source != "topic")
        node = admin.describe_cluster().brokers[0].node_id
        broker_resource = ottla.ConfigResource.broker(node)
        assert admin.describe_configs([broker_resource])[broker_resource]
        with pytest.raises(ottla.OttlaError):
            admin.alter_configs({resource: {"retention.ms": "soon"}})
        with pytest.raises(ottla.InvalidError, match="topic or a broker"):
            admin.describe_configs([untyped(("planet", "x"))])


def test_admin_sees_groups_and_offsets(broker: str) -> None:
    topic, group = new_topic(broker, "groups"), unique("groups")
    place = ottla.TopicPartition(topic, 0)
    send_all(broker, topic, [b"1", b"2", b"3"])
    with ottla.Admin(bootstrap_servers=broker) as admin:
        with member(broker, topic, group) as consumer:
            take(consumer, 2)
            consumer.commit()
            assert group in {listing.group_id for listing in admin.list_groups()}
            described = admin.describe_groups(group)[group]
            assert described.members[0].assignment == [place]
            with pytest.raises(ottla.OttlaError) as raised:
                admin.delete_groups([group])
            assert raised.value.code == "NON_EMPTY_GROUP"
        assert admin.list_consumer_group_offsets(group)[place].offset == 2
        assert admin.delete_groups([group]) == {group: None}
        assert admin.list_consumer_group_offsets(group) == {}
        assert admin.list_offsets({place: "earliest"})[place].offset == 0
        assert admin.list_offsets({place: "latest"})[place].offset == 3
        assert admin.list_offsets({place: 1 << 50})[place].offset == -1
        with pytest.raises(ottla.InvalidError, match="earliest"):
            admin.list_offsets({place: untyped("first")})
