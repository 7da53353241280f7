// What becomes of work in flight, of memory, of signals.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  Admin, ArgumentTypeError, ClosedError, Consumer, Producer, TimeoutError,
} from 'ottla';
import {
  admin, BrokerProcess, consumer, failure, onEachBroker, partitionsOf, producer, reader, take, text,
  topic, uniqueName, until,
} from './support.mjs';

/** Threads, open files and resident memory of this process. */
function usage() {
  globalThis.gc?.();
  const status = readFileSync('/proc/self/status', 'utf8');
  return {
    threads: Number(/Threads:\s+(\d+)/.exec(status)[1]),
    files: readdirSync('/proc/self/fd').length,
    memory: process.memoryUsage().rss,
  };
}

onEachBroker((broker) => {
  test('close_with_work_in_flight', async (t) => {
    const name = await topic(t, broker, 3);
    const sender = await producer(t, broker, { lingerMs: 1_000 });
    const send = (_, i) => sender.send({ topic: name, value: `${i}` });
    const sent = Array.from({ length: 5_000 }, send);
    await sender.close();
    // All had ended when it was closed.
    const ended = await Promise.race([Promise.all(sent), new Promise((r) => { setImmediate(r); })]);
    assert.equal(ended?.length, sent.length);
    const client = await consumer(t, broker, { groupId: uniqueName('g') }, { topics: [name] });
    const seen = await take(client, sent.length);
    assert.equal(new Set(seen.map((record) => text(record.value))).size, sent.length);
    // A consumer that waits is told, a batch in hand stays readable.
    const waiting = client.next();
    await client.close();
    assert.equal(await waiting, null);
    assert.equal(typeof text(seen.at(-1).value), 'string');
  });

  test('abort_signals', async (t) => {
    const name = await topic(t, broker);
    const client = await consumer(t, broker, { groupId: uniqueName('g') }, { topics: [name] });
    const sender = await producer(t, broker, { lingerMs: 60_000 });
    const manager = await admin(t, broker);

    // Aborted before: nothing is begun, the reason is the rejection.
    const signal = AbortSignal.abort('my reason');
    const calls = [
      client.nextBatch({ signal }), client.next({ signal }), client.commit({ signal }),
      sender.send({ topic: name, value: 'no' }, { signal }), sender.flush({ signal }),
      sender.sendMany(name, [{ value: 'no' }], { signal }), manager.listTopics({ signal }),
      Producer.connect({ bootstrapServers: broker.address }, { signal }),
      Consumer.connect({ bootstrapServers: broker.address }, { signal }),
      Admin.connect({ bootstrapServers: broker.address }, { signal }),
      client.records({ signal }).next(), client.batches({ signal }).next(),
    ];
    for (const reason of await Promise.all(calls.map(failure))) assert.equal(reason, 'my reason');

    // Aborted while it waits: the language's own error.
    const controller = new AbortController();
    const options = { signal: controller.signal };
    const waiting = failure(client.next(options));
    const lingering = failure(sender.send({ topic: name, value: 'x' }, options));
    await until('it lingers', () => sender.memoryUsed > 0);
    controller.abort();
    for (const error of [await waiting, await lingering]) {
      assert.equal(error.name, 'AbortError');
      assert.equal(error, controller.signal.reason);
    }
    const late = await failure(client.next({ signal: AbortSignal.timeout(20) }));
    assert.equal(late.name, 'TimeoutError');

    // One signal for many records: no warning of too many listeners, and all are given up.
    const warnings = [];
    const warn = (warning) => warnings.push(warning);
    process.on('warning', warn);
    const shared = new AbortController();
    const many = Array.from({ length: 100 }, () => (
      failure(sender.send({ topic: name, value: 'many' }, { signal: shared.signal }))));
    shared.abort();
    for (const error of await Promise.all(many)) assert.equal(error, shared.signal.reason);
    await new Promise((resolve) => { setImmediate(resolve); });
    process.off('warning', warn);
    assert.deepEqual(warnings, []);

    // The record was on its way, and the consumer that was left lost nothing.
    await sender.flush();
    assert.equal(text((await take(client, 1))[0].value), 'x');
  });

  test('cancellation_reaches_the_core', async (t) => {
    const own = await BrokerProcess.start();
    t.after(() => own.stop());
    const name = await topic(t, own);
    const sender = await producer(t, own, {
      bufferMemory: 65_536, batchSize: 16_384, deliveryTimeoutMs: 120_000, lingerMs: 0,
    });
    const client = await reader(t, own, name);
    await sender.send({ topic: name, value: 'first' });
    own.freeze();

    // Memory is used up: what comes now waits in front of the core.
    const value = Buffer.alloc(10_000, 'f');
    const filling = Array.from({ length: 5 }, () => sender.send({ topic: name, value }));
    await until('it is full', () => sender.memoryUsed >= 50_000);
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = ['w1', 'w2', 'w3'].map((key) => sender.send({ topic: name, key, value }));
    const given = ['g1', 'g2'].map((key) => (
      failure(sender.send({ topic: name, key, value }, { signal }))));
    const two = [{ key: 'g3', value }, { key: 'g4', value }];
    const many = failure(sender.sendMany(name, two, { signal }));
    const last = sender.send({ topic: name, key: 'last', value });
    controller.abort();
    for (const error of await Promise.all([...given, many])) assert.equal(error, signal.reason);
    own.thaw();
    await Promise.all([...filling, ...waiting, last]);
    const seen = await take(client, 1 + filling.length + waiting.length + 1);
    const keys = seen.map((record) => text(record.key)).filter((key) => key !== null);
    assert.deepEqual(keys, ['w1', 'w2', 'w3', 'last'], 'those that were given up were not sent');

    // A call that is given up again and again loses nothing and leaves nothing behind.
    const count = 200;
    const sent = (async () => {
      for (let i = 0; i < count; i += 1) await sender.send({ topic: name, key: `${i}` });
    })();
    const got = [];
    while (got.length < count) {
      const each = new AbortController();
      const next = client.next({ signal: each.signal });
      if (got.length % 2 === 0) setImmediate(() => each.abort());
      const record = await next.catch((error) => assert.equal(error.name, 'AbortError'));
      if (record) got.push(text(record.key));
    }
    assert.deepEqual(got, Array.from({ length: count }, (_, i) => `${i}`));
    await sent;
  });

  test('back_pressure_keeps_memory_within_buffer_memory', async (t) => {
    const name = await topic(t, broker);
    const bufferMemory = 1_048_576;
    const sender = await producer(t, broker, { bufferMemory, batchSize: 65_536 });
    let most = 0;
    const value = Buffer.alloc(20_000, 'b');
    const sent = [];
    for (let i = 0; i < 500; i += 1) {
      sent.push(sender.send({ topic: name, key: `${i}`, value }));
      most = Math.max(most, sender.memoryUsed);
    }
    const looking = setInterval(() => { most = Math.max(most, sender.memoryUsed); }, 1);
    const written = await Promise.all(sent);
    clearInterval(looking);
    assert(most > bufferMemory / 2, `it was filled: ${most}`);
    assert(most <= bufferMemory, `it was kept: ${most}`);
    assert.deepEqual(written.map((each) => each.offset), sent.map((_, i) => BigInt(i)));
    await until('all of it is free', () => sender.memoryUsed === 0);
  });

  test('what_nobody_awaits_is_not_copied_beside_buffer_memory', async (t) => {
    const own = await BrokerProcess.start();
    t.after(() => own.stop());
    const name = await topic(t, own);
    const sender = await producer(t, own, { bufferMemory: 1_048_576, batchSize: 65_536 });
    await sender.send({ topic: name, partition: 0, value: 'first' });
    const value = Buffer.alloc(20_000, 'b');
    own.freeze();
    const before = process.memoryUsage.rss();
    // 160 MB, half of it in one call.
    const sent = Array.from({ length: 4_000 }, (_, i) => (
      sender.send({ topic: name, partition: 0, key: `${i}`, value })));
    const many = Array.from({ length: 4_000 }, (_, i) => ({ partition: 0, key: `m${i}`, value }));
    const rest = sender.sendMany(name, many);
    assert(sender.memoryUsed <= 1_048_576);
    const flushed = sender.flush();
    await new Promise(setImmediate);
    const grown = process.memoryUsage.rss() - before;
    assert(grown < 40 * 1_048_576, `${grown} bytes more`);
    assert(own.isFrozen(), 'nobody else continued the broker');
    own.thaw();
    await flushed;
    const written = await Promise.all([...sent, rest]);
    const offsets = written.flat().map((each) => each.offset);
    assert.deepEqual(offsets, offsets.map((_, i) => BigInt(i + 1)), 'in the order of the calls');
    await until('all of it is free', () => sender.memoryUsed === 0);
  });

  test('what_is_held_back_is_given_up_refused_and_closed', async (t) => {
    const own = await BrokerProcess.start();
    t.after(() => own.stop());
    const name = await topic(t, own);
    const settings = { bufferMemory: 65_536, batchSize: 16_384 };
    const sender = await producer(t, own, settings);
    await sender.send({ topic: name, partition: 0, value: 'first' });
    own.freeze();
    const record = { topic: name, partition: 0, value: Buffer.alloc(20_000) };
    const outcome = (promise) => promise.then(() => 'sent', (error) => error);
    const before = Array.from({ length: 20 }, () => outcome(sender.send(record)));
    sender.memoryUsed;
    // From here on records are held back.
    await assert.rejects(sender.send({ ...record, headers: [[7, 'x']] }), ArgumentTypeError);
    const giving = new AbortController();
    const given = Array.from({ length: 20 }, () => (
      outcome(sender.send(record, { signal: giving.signal }))));
    giving.abort(new Error('enough'));
    for (const error of await Promise.all(given)) assert.equal(error.message, 'enough');
    const after = Array.from({ length: 20 }, () => outcome(sender.send(record)));
    await assert.rejects(sender.close({ timeoutMs: 50 }), TimeoutError);
    for (const error of await Promise.all(after)) assert(error instanceof ClosedError, `${error}`);
    own.thaw();
    const ends = await Promise.all(before);
    assert(ends.every((end) => end === 'sent' || end instanceof Error), 'each has ended');
  });

  test('a_record_waits_for_memory_no_longer_than_max_block', async (t) => {
    const own = await BrokerProcess.start();
    t.after(() => own.stop());
    const name = await topic(t, own);
    const sender = await producer(t, own, {
      bufferMemory: 65_536, batchSize: 16_384, maxBlockMs: 300, deliveryTimeoutMs: 120_000,
    });
    await sender.send({ topic: name, value: 'first' });
    own.freeze();
    const value = Buffer.alloc(20_000);
    const began = Date.now();
    const send = () => sender.send({ topic: name, value }).then(() => null, (error) => error);
    const fitting = Array.from({ length: 3 }, send);
    const waiting = await Promise.all(Array.from({ length: 40 }, send));
    assert(own.isFrozen(), 'nobody else continued the broker');
    for (const error of waiting) {
      assert(error instanceof TimeoutError, `${error} after ${Date.now() - began} ms`);
      assert.match(error.message, /max\.block\.ms/);
    }
    // All of them waited at once, not one after the other.
    assert(Date.now() - began < 10 * 300, `${Date.now() - began} ms`);
    own.thaw();
    assert.deepEqual(await Promise.all(fitting), [null, null, null]);
  });

  test('two_hundred_clients_leave_nothing_behind', async (t) => {
    const name = await topic(t, broker);
    const bootstrapServers = broker.address;
    const settings = { bootstrapServers, autoOffsetReset: 'earliest' };
    const cycle = async () => {
      const sender = await Producer.connect({ bootstrapServers });
      await sender.send({ topic: name, value: Buffer.alloc(1_000) });
      const client = await Consumer.connect(settings, { partitions: partitionsOf(name) });
      assert((await client.nextBatch()).length > 0);
      const manager = await Admin.connect({ bootstrapServers });
      await manager.describeTopics([name]);
      await Promise.all([sender.close(), client.close(), manager.close()]);
    };
    for (let i = 0; i < 40; i += 1) await cycle();
    const before = usage();
    for (let i = 0; i < 160; i += 1) await cycle();
    await until('threads and files are where they were', () => {
      const now = usage();
      return now.threads <= before.threads && now.files <= before.files;
    });
    const grown = usage().memory - before.memory;
    assert(grown < 24 * 1024 * 1024, `memory grew by ${grown} bytes`);
  });

  const skip = !globalThis.gc && 'needs --expose-gc';
  test('unclosed_clients_are_collected', { skip }, async (t) => {
    const name = await topic(t, broker);
    const before = usage();
    const leave = async () => {
      const sender = await Producer.connect({ bootstrapServers: broker.address });
      sender.send({ topic: name, value: 'x' }).catch(() => {});
      const client = await Consumer.connect(
        { bootstrapServers: broker.address, groupId: uniqueName('g') },
        { topics: [name], onRebalance: () => {} },
      );
      const controller = new AbortController();
      client.nextBatch({ signal: controller.signal }).catch(() => {});
      controller.abort();
    };
    for (let i = 0; i < 20; i += 1) await leave();
    // The engine may still hold what the last turn left: a producer and a consumer, 5 files.
    await until('their files are closed', () => usage().files <= before.files + 5);
  });
});
