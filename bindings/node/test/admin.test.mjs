// The admin client.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NotFoundError, OttlaError } from 'ottla';
import {
  admin, consumer, onEachBroker, producer, take, topic, uniqueName, until,
} from './support.mjs';

onEachBroker((broker) => {
  test('admin_creates_lists_describes_deletes', async (t) => {
    const client = await admin(t, broker);
    const name = uniqueName('t');
    const configs = { 'retention.ms': 3_600_000 };
    const wanted = { name, partitions: 3, replicationFactor: 1, configs };
    await client.createTopic(wanted, { validateOnly: true });
    assert(!(await client.listTopics()).some((each) => each.name === name));
    const created = await client.createTopic(wanted);
    assert.deepEqual([created.name, created.partitions, created.replicationFactor], [name, 3, 1]);
    const [again] = await client.createTopics([name]);
    assert(again.error instanceof OttlaError);
    assert.equal(again.error.code, 'TOPIC_ALREADY_EXISTS');

    await until('it is listed', async () => (
      (await client.listTopics()).some((each) => each.name === name && !each.isInternal)));
    const [described] = await client.describeTopics([name]);
    assert.equal(described.error, null);
    assert.deepEqual(described.partitions.map((each) => each.partition), [0, 1, 2]);
    assert(described.partitions.every((each) => each.leader !== null && each.isr.length === 1));

    const [grown] = await client.createPartitions([{ name, partitions: 5 }]);
    assert.equal(grown.error, null);
    await until('it has grown', async () => (
      (await client.describeTopics([name]))[0].partitions.length === 5));

    const { brokers, clusterId } = await client.describeCluster();
    assert(clusterId.length > 0);
    assert.equal(`${brokers[0].host}:${brokers[0].port}`, broker.address);

    await client.deleteTopic(name);
    await until('it is gone', async () => (
      (await client.describeTopics([name]))[0].error instanceof NotFoundError));
  });

  test('admin_reads_and_changes_settings', async (t) => {
    const client = await admin(t, broker);
    const name = await topic(t, broker);
    const resource = { type: 'topic', name };
    const value = async (setting) => {
      const [{ entries }] = await client.describeConfigs([resource]);
      return entries.find((entry) => entry.name === setting);
    };
    const changes = [{ name: 'retention.ms', value: 1234567 }];
    assert.equal((await client.alterConfigs([{ ...resource, changes }]))[0].error, null);
    await until('it is set', async () => (await value('retention.ms')).value === '1234567');
    assert.equal((await value('retention.ms')).source, 'topic');
    const back = [{ operation: 'delete', name: 'retention.ms' }];
    await client.alterConfigs([{ ...resource, changes: back }]);
    await until('it is back', async () => (await value('retention.ms')).source !== 'topic');
  });

  test('admin_knows_groups_and_offsets', async (t) => {
    const client = await admin(t, broker);
    const name = await topic(t, broker);
    const sender = await producer(t, broker);
    const at = Date.now() - 1_000;
    await sender.sendMany(name, [
      { value: 'a', timestamp: at }, { value: 'b', timestamp: at + 10 },
    ]);
    const groupId = uniqueName('g');
    const member = await consumer(t, broker, { groupId, clientId: 'me' }, { topics: [name] });
    await take(member, 2);
    await member.commit();
    assert((await client.listGroups()).some((group) => group.groupId === groupId));
    const [group] = await client.describeGroups([groupId]);
    assert.equal(group.state, 'Stable');
    assert.equal(group.members[0].clientId, 'me');
    assert.deepEqual(group.members[0].assignment, [{ topic: name, partition: 0 }]);
    const [committed] = await client.listConsumerGroupOffsets(groupId);
    assert.deepEqual([committed.topic, committed.partition, committed.offset], [name, 0, 2n]);
    const offsets = [];
    for (const spec of ['earliest', 'latest', at + 5, new Date(at)]) {
      const [{ offset, error }] = await client.listOffsets([{ topic: name, partition: 0, spec }]);
      assert.equal(error, null);
      offsets.push(offset);
    }
    assert.deepEqual(offsets, [0n, 2n, 1n, 0n]);
    await member.close();
    const [deleted] = await until('the group is empty', async () => {
      const answer = await client.deleteGroups([groupId]);
      return answer[0].error === null && answer;
    });
    assert.equal(deleted.groupId, groupId);
  });
});
