// Groups, positions, commits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidError } from 'ottla';
import {
  consumer, DEADLINE_MS, failure, onEachBroker, partitionsOf, producer, reader, take, text, topic,
  uniqueName, until,
} from './support.mjs';

const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => `${from + i}`);
const values = (records) => records.map((record) => text(record.value));

/** A topic of one partition with the numbers from 0 on as values and as timestamps. */
async function numbered(t, broker, count) {
  const name = await topic(t, broker);
  const sender = await producer(t, broker);
  const records = numbers(0, count).map((value) => ({ value, timestamp: Number(value) }));
  await sender.sendMany(name, records);
  return { name, sender, partition: { topic: name, partition: 0 } };
}

onEachBroker((broker) => {
  test('a_group_of_two_shares_and_one_leaves', async (t) => {
    const name = await topic(t, broker, 4);
    const group = { groupId: uniqueName('g'), sessionTimeoutMs: 10_000, heartbeatIntervalMs: 200 };
    const events = [];
    const join = (who) => consumer(t, broker, group, {
      topics: [name], onRebalance: (event) => events.push([who, event.type]),
    });
    const [one, two] = await Promise.all([join('one'), join('two')]);
    const seen = { one: [], two: [] };
    const consume = async (client, who) => {
      for await (const record of client) seen[who].push(text(record.value));
    };
    const running = [consume(one, 'one'), consume(two, 'two')];
    await until('two partitions each', () => (
      one.assignment().length === 2 && two.assignment().length === 2));
    const sender = await producer(t, broker);
    const send = async (from) => Promise.all(numbers(from, from + 40)
      .map((value, i) => sender.send({ topic: name, value, partition: i % 4 })));
    await send(0);
    await until('both have theirs', () => seen.one.length === 20 && seen.two.length === 20);
    await one.close();
    await running[0];
    await until('the other has all', () => two.assignment().length === 4);
    await send(40);
    await until('the other reads all', () => seen.two.length === 60);
    assert.deepEqual([...seen.one, ...seen.two].sort((a, b) => a - b), numbers(0, 80));
    assert(events.some(([who, type]) => who === 'two' && type === 'assigned'));
    await two.close();
    await running[1];
  });

  test('commit_and_resume', async (t) => {
    const { name, partition } = await numbered(t, broker, 100);
    const group = { groupId: uniqueName('g'), enableAutoCommit: false };
    const first = await consumer(t, broker, group, { topics: [name] });
    await take(first, 30);
    await first.commit();
    const [committed] = await first.committed([partition]);
    assert.deepEqual([committed.offset, committed.metadata], [30n, null]);
    await take(first, 10);
    await first.close();
    const second = await consumer(t, broker, group, { topics: [name] });
    assert.deepEqual(values(await take(second, 5)), numbers(30, 35));
    await second.commitOffsets([{ ...partition, offset: 77n, metadata: 'note' }]);
    assert.equal((await second.committed([partition]))[0].metadata, 'note');
    await second.close();
    const third = await consumer(t, broker, group, { topics: [name] });
    assert.deepEqual(values(await take(third, 1)), ['77']);
  });

  test('seek_to_offset_time_and_ends', async (t) => {
    const { name, sender, partition } = await numbered(t, broker, 100);
    const client = await reader(t, broker, name);
    assert.deepEqual(values(await take(client, 3)), ['0', '1', '2']);
    assert.equal(client.position(partition), 3n);
    client.seek(partition, 50n);
    assert.deepEqual(values(await take(client, 2)), ['50', '51']);
    client.seekToBeginning(partition);
    assert.deepEqual(values(await take(client, 1)), ['0']);
    client.seekToTimestamp(partition, new Date(42));
    assert.deepEqual(values(await take(client, 1)), ['42']);
    client.seekToEnd(partition);
    const last = take(client, 1);
    await until('it is at the end', () => client.position(partition) === 100n);
    await sender.send({ topic: name, value: 'new' });
    assert.deepEqual(values(await last), ['new']);
    assert.deepEqual(await client.beginningOffsets([partition]), [{ ...partition, offset: 0n }]);
    assert.deepEqual(await client.endOffsets([partition]), [{ ...partition, offset: 101n }]);
    const [at, none] = await client.offsetsForTimes([
      { ...partition, timestamp: 42 },
    ]).then(async ([found]) => [found, (await client.offsetsForTimes([
      { ...partition, timestamp: Date.now() + 1e9 },
    ]))[0]]);
    assert.deepEqual([at.offset, at.timestamp, none.offset], [42n, 42, null]);
    assert.equal(client.lag(partition), 0n);
    const elsewhere = { topic: name, partition: 9 };
    assert.throws(() => client.seek(elsewhere, 0n), InvalidError);
  });

  test('pause_and_resume', async (t) => {
    const name = await topic(t, broker, 2);
    const [one, two] = partitionsOf(name, 2);
    const client = await reader(t, broker, name, 2);
    client.pause(one);
    assert.deepEqual([client.isPaused(one), client.isPaused(two)], [true, false]);
    const sender = await producer(t, broker);
    for (const value of numbers(0, 10)) {
      await sender.send({ topic: name, value, partition: Number(value) % 2 });
    }
    assert.deepEqual((await take(client, 5)).map((record) => record.partition), [1, 1, 1, 1, 1]);
    const waiting = take(client, 5);
    client.resume(one);
    assert.deepEqual((await waiting).map((record) => record.partition), [0, 0, 0, 0, 0]);
  });

  test('at_least_once_by_default', async (t) => {
    const { name, partition } = await numbered(t, broker, 100);
    const group = { groupId: uniqueName('g') };
    const begin = () => consumer(t, broker, group, { topics: [name] });

    // A loop that fails in the middle of a batch: the record in hand is not finished.
    const first = await begin();
    await assert.rejects(async () => {
      for await (const record of first) {
        if (text(record.value) === '10') throw new Error('it was too much');
      }
    }, /too much/);
    await first.close();
    const second = await begin();
    assert.deepEqual(values(await take(second, 1)), ['10']);

    // A commit in mid-batch covers what was given, and no more.
    const [, third] = await take(second, 2);
    assert.equal(text(third.value), '12');
    await second.commit();
    assert.equal((await second.committed([partition]))[0].offset, 13n);

    // The loop can be entered again where it was left.
    for await (const record of second) {
      assert.equal(text(record.value), '13');
      break;
    }
    const rest = await second.nextBatch();
    assert.equal(rest.baseOffset, 14n);
    assert.equal(text(rest.value(0)), '14');
    // What was handed out is finished by asking for more, or by saying so.
    await second.commit();
    assert.equal((await second.committed([partition]))[0].offset, rest.lastOffset + 1n);
    await second.close();
  });

  test('a_rebalance_ends_the_view_at_once', async (t) => {
    const { name } = await numbered(t, broker, 1000);
    const group = { groupId: uniqueName('g'), heartbeatIntervalMs: 100, sessionTimeoutMs: 10_000 };
    const first = await consumer(t, broker, group, { topics: [name] });
    assert.deepEqual(values(await take(first, 3)), ['0', '1', '2']);
    // The other's joining takes the batch back: records that the first one did not reach go to
    // whoever owns the partition then, and no record is lost.
    const seen = new Set(['0', '1', '2']);
    const second = await consumer(t, broker, group, { topics: [name] });
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const consume = async (client) => {
      for await (const record of client) {
        seen.add(text(record.value));
        if (seen.size === 1000) return;
      }
    };
    const running = [consume(first), consume(second)];
    await until('all were seen', () => { signal.throwIfAborted(); return seen.size === 1000; });
    await Promise.all([first.close(), second.close()]);
    await Promise.all(running);
  });

  test('consuming_gives_way_to_others', async (t) => {
    const name = await topic(t, broker);
    const sender = await producer(t, broker, { batchSize: 2_000 });
    const count = 50_000;
    await sender.sendMany(name, Array.from({ length: count }, () => ({ value: 'x' })));
    const client = await reader(t, broker, name);
    await take(client, 1);
    let turns = 0;
    let isOver = false;
    const other = () => { turns += 1; if (!isOver) setImmediate(other); };
    other();
    let left = count - 1;
    for await (const record of client) {
      left -= 1;
      if (left === 0) break;
    }
    isOver = true;
    assert(turns > 3, `others had ${turns} turns`);
  });

  test('one_asks_at_a_time', async (t) => {
    const name = await topic(t, broker);
    const client = await reader(t, broker, name);
    const waiting = client.nextBatch();
    const error = await failure(client.next());
    assert(error instanceof InvalidError, error);
    assert.match(error.message, /another call waits/);
    await client.close();
    assert.equal(await waiting, null);
  });
});
