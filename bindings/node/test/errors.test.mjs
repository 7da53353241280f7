// Each kind of error: its class, its code, its flags, and what it says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as ottla from 'ottla';
import {
  admin, BrokerProcess, consumer, DEADLINE_MS, failure, onEachBroker, partitionsOf, producer, take,
  text, topic, uniqueName, until,
} from './support.mjs';

/** An address where nothing listens. */
const NOWHERE = '127.0.0.1:1';

function check(error, Class, code, message, flags = {}) {
  assert(error instanceof Class, `${error?.stack}`);
  assert(error instanceof ottla.OttlaError);
  assert(error instanceof Error);
  assert.equal(error.name, Class.name);
  assert.equal(error.code, code);
  assert.match(error.message, message);
  const { retriable, fatal, possiblyWritten } = error;
  assert.deepEqual(
    { retriable, fatal, possiblyWritten },
    { retriable: false, fatal: false, possiblyWritten: false, ...flags },
  );
}

onEachBroker((broker) => {
  test('errors_of_each_kind', async (t) => {
    const name = await topic(t, broker, 2);
    const sender = await producer(t, broker, { maxBlockMs: 2_000 });

    check(
      await failure(sender.send({ topic: name, partition: 7, value: 'x' })),
      ottla.InvalidError, 'INVALID', /has no partition 7/,
    );
    check(
      await failure(sender.send({ topic: name, value: Buffer.alloc(2_000_000) })),
      ottla.InvalidError, 'INVALID', /max\.request\.size/,
    );
    check(
      await failure(sender.send({ topic: 'a name with spaces', value: 'x' })),
      ottla.InvalidError, 'INVALID_TOPIC_EXCEPTION', /a name with spaces/,
    );
    const client = await admin(t, broker);
    const [missing] = await client.describeTopics([uniqueName('missing')]);
    check(
      missing.error, ottla.NotFoundError, 'UNKNOWN_TOPIC_OR_PARTITION', /missing/,
      { retriable: true },
    );

    const lost = await consumer(
      t, broker, { autoOffsetReset: 'none' }, { partitions: partitionsOf(name) },
    );
    lost.seek({ topic: name, partition: 0 }, 1_000n);
    check(
      await failure(lost.nextBatch({ signal: AbortSignal.timeout(DEADLINE_MS) })),
      ottla.OffsetOutOfRangeError, 'OFFSET_OUT_OF_RANGE', /1000/,
    );
    check(
      await failure(ottla.Consumer.connect(
        { bootstrapServers: broker.address }, { topics: [name] },
      )),
      ottla.ConfigError, 'CONFIG', /group\.id/,
    );
    check(
      await failure(ottla.Producer.connect({ bootstrapServers: NOWHERE })),
      ottla.UnreachableError, 'UNREACHABLE', /127\.0\.0\.1:1/, { retriable: true },
    );

    const records = [{ value: 'good' }, { value: Buffer.alloc(2_000_000) }];
    const error = await failure(sender.sendMany(name, records));
    check(error, ottla.InvalidError, 'INVALID', /^1 of 2 records failed, the first: /);
    assert(error.results[0] instanceof ottla.RecordMetadata);
    assert(error.results[1] instanceof ottla.InvalidError);
  });

  test('wrong_argument_types_are_named', async (t) => {
    const name = await topic(t, broker);
    const sender = await producer(t, broker);
    const client = await consumer(t, broker, {}, { partitions: partitionsOf(name) });
    const of = (act) => failure((async () => act())());
    const cases = [
      [() => sender.send('x'), 'record must be an object, not string'],
      [() => sender.send({ value: 'x' }), 'record.topic must be a string, not undefined'],
      [() => sender.send({ topic: name, value: 5 }),
        'record.value must be a string, a Uint8Array, an ArrayBuffer or null, not number'],
      [() => sender.send({ topic: name, key: {} }),
        'record.key must be a string, a Uint8Array, an ArrayBuffer or null, not Object'],
      [() => sender.send({ topic: name, partition: '1' }),
        'record.partition must be a number, not string'],
      [() => sender.send({ topic: name, timestamp: 5n }),
        'record.timestamp must be a number or a Date, not bigint'],
      [() => sender.send({ topic: name, headers: 'h' }),
        'record.headers must be an array of pairs, a Map or an object, not string'],
      [() => sender.send({ topic: name, headers: [[1, 'x']] }),
        'a header\'s key must be a string, not number'],
      [() => sender.send({ topic: name, headers: { h: 1 } }),
        'header "h" must be a string, a Uint8Array, an ArrayBuffer or null, not number'],
      [() => sender.sendMany(name, [{ value: 'x' }, null]),
        'records[1] must be an object, not null'],
      [() => sender.send({ topic: name }, { signal: 1 }),
        'options.signal must be an AbortSignal, not number'],
      [() => client.seek({ topic: name, partition: 0 }, 5), 'offset must be a bigint, not number'],
      [() => client.seek(name, 5n), 'partition must be an object, not string'],
      [() => client.assign([{ topic: name, partition: null }]),
        'partitions[0].partition must be a number, not null'],
      [() => client.subscribe('one'), 'topics must be an array, not string'],
      [() => ottla.Consumer.connect({}, { onRebalance: 1 }),
        'options.onRebalance must be a function, not number'],
      [() => ottla.Producer.connect('127.0.0.1'), 'settings must be an object, not string'],
      [() => ottla.Producer.connect({ lingerMs: null }),
        'settings.lingerMs must be a string, a number, a boolean or an array of strings, not null'],
    ];
    for (const [act, message] of cases) {
      const error = await of(act);
      check(error, ottla.ArgumentTypeError, 'ARGUMENT_TYPE', /must be/);
      assert.equal(error.message, message);
    }
    const invalid = [
      [() => sender.send({ topic: name, partition: -1 }), /record\.partition/],
      [() => sender.send({ topic: name, partition: 0.5 }), /record\.partition/],
      [() => client.seek({ topic: name, partition: 0 }, -1n), /offset must be from 0/],
    ];
    for (const [act, message] of invalid) {
      check(await of(act), ottla.InvalidError, 'INVALID', message);
    }
    // What was refused left nothing behind.
    assert.equal((await sender.send({ topic: name, value: 'first' })).offset, 0n);
  });

  test('unknown_settings_are_named_with_the_nearest', async () => {
    const bootstrapServers = broker.address;
    const cases = [
      ['lingerM', /"lingerM".*"lingerMs"/],
      ['linger_m', /"linger_m".*"linger_ms"/],
      ['linger.m', /"linger\.m".*"linger\.ms"/],
    ];
    for (const [name, message] of cases) {
      const error = await failure(ottla.Producer.connect({ bootstrapServers, [name]: 5 }));
      check(error, ottla.ConfigError, 'CONFIG', message);
    }
    for (const value of ['soon', -1, 0.5]) {
      const error = await failure(ottla.Producer.connect({ bootstrapServers, lingerMs: value }));
      check(error, ottla.ConfigError, 'CONFIG', /linger/);
    }
  });

  test('settings_in_every_spelling', async (t) => {
    const name = await topic(t, broker);
    const [host, port] = broker.address.split(':');
    const all = [
      { bootstrapServers: [broker.address], lingerMs: 1, enableIdempotence: false, acks: 1 },
      {
        bootstrap_servers: `${host}:${port}`, linger_ms: '1', enable_idempotence: 'false',
        acks: '1',
      },
      {
        'bootstrap.servers': broker.address, 'linger.ms': 1n, 'enable.idempotence': false,
        acks: 'all', clientId: undefined,
      },
    ];
    for (const settings of all) {
      const sender = await ottla.Producer.connect(settings);
      t.after(() => sender.close());
      await sender.send({ topic: name, value: 'x' });
    }
  });

  test('a_closed_client_says_so', async (t) => {
    const name = await topic(t, broker);
    const closed = [/closed/, { fatal: true }];
    const sender = await producer(t, broker);
    await sender.close();
    await sender.close();
    const sends = [
      sender.send({ topic: name, value: 'x' }), sender.sendMany(name, [{ value: 'x' }]),
      sender.flush(), sender.partitionCount(name),
    ];
    for (const end of await Promise.all(sends.map(failure))) {
      check(end, ottla.ClosedError, 'CLOSED', ...closed);
    }
    const client = await consumer(t, broker, { groupId: uniqueName('g') }, { topics: [name] });
    await client.close();
    await client.close();
    assert.equal(await client.nextBatch(), null);
    assert.equal(await client.next(), null);
    for await (const record of client) assert.fail(`${record}`);
    check(await failure(client.commit()), ottla.ClosedError, 'CLOSED', ...closed);
    const manager = await admin(t, broker);
    await manager.close();
    check(await failure(manager.listTopics()), ottla.ClosedError, 'CLOSED', ...closed);
    check(await failure(manager.createTopic('x')), ottla.ClosedError, 'CLOSED', ...closed);
  });

  test('a_broker_that_goes_away_is_told_and_comes_back', async (t) => {
    const own = await BrokerProcess.start();
    t.after(() => own.stop());
    const name = await topic(t, own);
    const timeouts = { deliveryTimeoutMs: 1_500, requestTimeoutMs: 1_000, lingerMs: 0 };
    const sender = await producer(t, own, timeouts);
    const client = await consumer(t, own, {}, { partitions: partitionsOf(name) });
    await sender.send({ topic: name, value: 'before' });
    assert.equal(text((await take(client, 1))[0].value), 'before');
    const waiting = take(client, 1);
    await own.kill();
    const error = await failure(sender.send({ topic: name, value: 'lost' }));
    assert(error instanceof ottla.TimeoutError, error.stack);
    assert.equal(error.retriable, true);
    await own.start();
    const written = await until('it is written again', () => (
      sender.send({ topic: name, value: 'after' }).catch(() => undefined)));
    assert(written.offset >= 1n);
    assert.match(text((await waiting)[0].value), /after|lost/);
  });
});
