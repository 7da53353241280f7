// What records are, on their way in and out.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Batch, Record } from 'ottla';
import {
  consumer, folder, onEachBroker, partitionsOf, producer, reader, take, text, topic,
} from './support.mjs';

onEachBroker((broker) => {
  test('produce_and_consume_with_every_codec', async (t) => {
    for (const compressionType of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
      const name = await topic(t, broker);
      const sender = await producer(t, broker, { compressionType });
      const record = (_, i) => ({ key: `k${i}`, value: `v${i}`.repeat(20) });
      const records = Array.from({ length: 200 }, record);
      const written = await sender.sendMany(name, records);
      assert.deepEqual(written.map((each) => each.offset), records.map((_, i) => BigInt(i)));
      const got = await take(await reader(t, broker, name), records.length);
      assert.deepEqual(
        got.map(({ key, value }) => ({ key: text(key), value: text(value) })),
        records,
        compressionType,
      );
    }
  });

  test('headers_keep_order_and_repeat', async (t) => {
    const name = await topic(t, broker);
    const sender = await producer(t, broker);
    const bytes = Buffer.from([0, 255]);
    const headers = [['b', 'one'], ['a', bytes], ['b', null], ['b', ''], ['é', 'x']];
    await sender.send({ topic: name, value: 'pairs', headers });
    await sender.send({ topic: name, value: 'map', headers: new Map([['m', 'map']]) });
    await sender.send({ topic: name, value: 'object', headers: { o: 'object', n: null } });
    await sender.send({ topic: name, value: 'none' });
    const got = await take(await reader(t, broker, name), 4);
    const plain = got.map((record) => record.headers.map(([key, value]) => [key, text(value)]));
    assert.deepEqual(plain, [
      [['b', 'one'], ['a', text(bytes)], ['b', null], ['b', ''], ['é', 'x']],
      [['m', 'map']],
      [['o', 'object'], ['n', null]],
      [],
    ]);
    assert.deepEqual([...got[0].headers[1][1]], [0, 255]);
  });

  test('null_and_empty_keys_and_values_differ', async (t) => {
    const name = await topic(t, broker);
    const sender = await producer(t, broker);
    const empty = new Uint8Array(0);
    const pairs = [[null, ''], ['', null], [empty, empty], [undefined, undefined]];
    for (const [key, value] of pairs) await sender.send({ topic: name, key, value });
    const got = await take(await reader(t, broker, name), pairs.length);
    const plain = got.map((record) => [text(record.key), text(record.value)]);
    assert.deepEqual(plain, [[null, ''], ['', null], ['', ''], [null, null]]);
  });

  test('unicode_survives', async (t) => {
    const name = await topic(t, broker);
    const sender = await producer(t, broker);
    const words = ['żółw', '日本語', '🦦🌊', 'a\u0000b', '\ufeffbom', 'e\u0301'];
    const headers = words.map((word) => [word, word]);
    for (const word of words) await sender.send({ topic: name, key: word, value: word, headers });
    for (const [i, record] of (await take(await reader(t, broker, name), words.length)).entries()) {
      assert.equal(text(record.key), words[i]);
      assert.equal(text(record.value), words[i]);
      assert.deepEqual(record.headers.map(([key, value]) => [key, text(value)]), headers);
    }
  });

  test('partition_placement_is_javas', async (t) => {
    const file = join(folder, '../../protocol/vectors/partitions.tsv.gz');
    const [head, ...rows] = gunzipSync(readFileSync(file)).toString().trimEnd().split('\n');
    const columns = head.slice(1).split('\t');
    const sender = await producer(t, broker, { enableIdempotence: true });
    for (const count of [1, 2, 3, 6, 7, 12]) {
      const at = columns.indexOf(`murmur2_p${count}`);
      const cells = rows.map((row) => row.split('\t'));
      const name = await topic(t, broker, count);
      const records = cells.map(([key]) => ({ key: Buffer.from(key, 'hex') }));
      const written = await sender.sendMany(name, records);
      const placed = written.map((each) => String(each.partition));
      assert.deepEqual(placed, cells.map((row) => row[at]), `${count} partitions`);
    }
  });

  test('one_mebibyte_messages', async (t) => {
    const size = 1024 * 1024;
    const larger = 2 * size;
    const name = await topic(t, broker, 1, { 'max.message.bytes': larger });
    const sender = await producer(t, broker, { maxRequestSize: larger });
    const values = [1, 2, 3].map((byte) => Buffer.alloc(size, byte));
    await Promise.all(values.map((value) => sender.send({ topic: name, value })));
    const got = await take(await reader(t, broker, name), values.length);
    got.forEach((record, i) => assert(record.value.equals(values[i])));
  });

  test('a_hundred_thousand_records', async (t) => {
    const count = 100_000;
    const name = await topic(t, broker, 6);
    const sender = await producer(t, broker);
    const written = [];
    for (let i = 0; i < count; i += 1) {
      written.push(sender.send({ topic: name, key: `${i}`, value: `value ${i}` }));
    }
    const places = (await Promise.all(written)).map((each) => `${each.partition}/${each.offset}`);
    assert.equal(new Set(places).size, count);
    const seen = new Array(count).fill(undefined);
    let left = count;
    for await (const record of await reader(t, broker, name, 6)) {
      const i = Number(text(record.key));
      assert.equal(seen[i], undefined, `${i} came twice`);
      assert.equal(text(record.value), `value ${i}`);
      seen[i] = `${record.partition}/${record.offset}`;
      left -= 1;
      if (left === 0) break;
    }
    assert.deepEqual(seen, places);
  });

  test('iterates_by_record_and_by_batch', async (t) => {
    const name = await topic(t, broker);
    const sender = await producer(t, broker);
    const record = (_, i) => ({ value: `${i}`, timestamp: 1_000 + i });
    const records = Array.from({ length: 500 }, record);
    await sender.sendMany(name, records);
    const byRecord = [];
    for await (const record of await reader(t, broker, name)) {
      assert(record instanceof Record);
      byRecord.push([record.offset, text(record.value), record.timestamp]);
      if (byRecord.length === records.length) break;
    }
    const byBatch = [];
    for await (const batch of (await reader(t, broker, name)).batches()) {
      assert(batch instanceof Batch);
      assert.equal(batch.topic, name);
      assert.equal(batch.partition, 0);
      assert.equal(batch.baseOffset, BigInt(byBatch.length));
      assert.equal([...batch].length, batch.length);
      for (let i = 0; i < batch.length; i += 1) {
        byBatch.push([batch.offset(i), text(batch.value(i)), batch.timestamp(i)]);
        assert.deepEqual(batch.at(i).offset, batch.offset(i));
      }
      assert.equal(batch.lastOffset, BigInt(byBatch.length) - 1n);
      assert.equal(batch.at(-1).offset, batch.lastOffset);
      assert.equal(batch.at(batch.length), undefined);
      assert.throws(() => batch.value(batch.length), RangeError);
      if (byBatch.length === records.length) break;
    }
    const expected = records.map(({ value, timestamp }, i) => [BigInt(i), value, timestamp]);
    assert.deepEqual(byRecord, expected);
    assert.deepEqual(byBatch, expected);
  });

  test('batch_views_are_lazy_and_outlive_the_consumer', async (t) => {
    const name = await topic(t, broker);
    const sender = await producer(t, broker, { compressionType: 'lz4', lingerMs: 60_000 });
    const keyed = { key: 'k', value: 'first', headers: { h: 'x' } };
    const sent = sender.sendMany(name, [keyed, { value: 'second' }]);
    // One batch has both: it lingers until then.
    await sender.flush();
    await sent;
    const client = await consumer(t, broker, {}, { partitions: partitionsOf(name) });
    const batch = await client.nextBatch();
    await client.close();
    globalThis.gc?.();
    const [first, second] = batch;
    assert.deepEqual([text(first.key), text(first.value)], ['k', 'first']);
    assert.equal(text(second.value), 'second');
    assert.deepEqual(first.headers.map(([key, value]) => [key, text(value)]), [['h', 'x']]);
    // Views of one region, not copies: what is written through one is read through the other.
    batch.value(1)[0] = 'S'.charCodeAt(0);
    assert.equal(text(second.value), 'Second');
    assert.equal(batch.value(0).buffer, batch.value(1).buffer);
    assert.match(JSON.stringify(first), /"offset":"0"/);
  });
});
