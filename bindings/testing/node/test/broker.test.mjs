// A broker that fails when it is told to, and a client that lives with it. The names are the same
// in every language.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import testing, { Broker, BrokerError, FaultError } from '../index.mjs';
import {
  eventually, here, isReachable, PATIENCE, values, withBroker, withProducer,
} from './support.mjs';

const within = () => ({ signal: AbortSignal.timeout(PATIENCE) });

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'ottla-testing-test-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('a_produce_error_is_survived_and_counted', async (t) => {
  const broker = await withBroker(t);
  const error = 'NOT_LEADER_OR_FOLLOWER';
  await broker.inject({ api: 'Produce', error, times: 3, topic: 't', partition: 0 });
  const producer = await withProducer(t, broker);
  assert.equal((await producer.send({ topic: 't', value: 'one' }, within())).offset, 0n);
  assert.deepEqual(await broker.faults(), [{
    id: 1,
    command: 'inject',
    api: 'Produce',
    applied: 3,
    left: 0,
    fields: { error, after: false, times: 3, topic: 't', partition: 0 },
  }]);
  assert.equal(await broker.requestCount('Produce'), 4);
  const [[version, count]] = Object.entries((await broker.requests()).Produce.versions);
  assert.equal(count, 4);
  assert.equal(await broker.requestCount('Produce', Number(version)), 4);
  assert.equal(await broker.requestCount('Produce', Number(version) + 1), 0);
  assert.equal(await broker.clearFaults(), 1);
  assert.deepEqual(await broker.faults(), []);
});

test('a_response_dropped_after_the_append_gives_no_duplicate', async (t) => {
  const broker = await withBroker(t);
  await broker.dropConnections({ api: 'Produce', when: 'after', times: 1 });
  await broker.dropConnections({ api: 'Produce', bytes: 6, times: 1 });
  const producer = await withProducer(t, broker);
  assert.equal((await producer.send({ topic: 't', value: 'one' }, within())).offset, 0n);
  assert.equal((await producer.send({ topic: 't', value: 'two' }, within())).offset, 1n);
  assert.deepEqual((await broker.faults()).map((fault) => fault.applied), [1, 1]);
  assert.equal(await broker.requestCount('Produce'), 4);
  assert.deepEqual(await values(broker, 't', 2), ['one', 'two']);
});

test('an_error_after_the_append_may_be_written', async (t) => {
  const broker = await withBroker(t);
  await broker.inject({ api: 'Produce', error: 'REQUEST_TIMED_OUT', times: 1, after: true });
  const producer = await withProducer(t, broker, { enableIdempotence: false });
  assert.equal((await producer.send({ topic: 't', value: 'twice' }, within())).offset, 1n);
  assert.deepEqual(await values(broker, 't', 2), ['twice', 'twice']);
});

test('kill_and_restart_keep_acknowledged_records', async (t) => {
  const broker = await withBroker(t);
  const { port, pid } = broker;
  const producer = await withProducer(t, broker);
  await producer.send({ topic: 't', value: 'before' }, within());
  await broker.kill();
  assert.equal(broker.isRunning, false);
  const waiting = producer.send({ topic: 't', value: 'during' }, within());
  await broker.restart();
  assert.equal((await waiting).offset, 1n);
  await broker.restart();
  assert.equal((await producer.send({ topic: 't', value: 'after' }, within())).offset, 2n);
  assert.equal(broker.port, port);
  assert.notEqual(broker.pid, pid);
  assert.deepEqual(await values(broker, 't', 3), ['before', 'during', 'after']);
});

test('a_delay_holds_answers_back', async (t) => {
  const broker = await withBroker(t);
  const producer = await withProducer(t, broker);
  await producer.send({ topic: 't', value: 'one' }, within());
  for (const after of [false, true]) {
    const id = await broker.delay({ api: 'Produce', ms: 300, times: 1, after });
    const started = performance.now();
    await producer.send({ topic: 't', value: 'slow' }, within());
    assert.ok(performance.now() - started >= 300);
    assert.equal(await broker.clearFaults(id), 1);
  }
});

test('a_throttled_client_is_told', async (t) => {
  const broker = await withBroker(t);
  const id = await broker.throttle({ api: 'Produce', ms: 10, times: 1 });
  const producer = await withProducer(t, broker);
  await producer.send({ topic: 't', value: 'one' }, within());
  assert.deepEqual((await broker.faults()).map((fault) => [fault.id, fault.applied]), [[id, 1]]);
});

test('a_paused_broker_answers_when_it_is_resumed', async (t) => {
  const broker = await withBroker(t);
  const producer = await withProducer(t, broker);
  await producer.send({ topic: 't', value: 'one' }, within());
  await broker.pause();
  let isDone = false;
  const waiting = producer.send({ topic: 't', value: 'two' }, within()).finally(() => {
    isDone = true;
  });
  await eventually('the record arrives', async () => await broker.requestCount('Produce') === 2);
  assert.equal(isDone, false);
  await broker.resume();
  assert.equal((await waiting).offset, 1n);
  await broker.pause();
  await broker.restart();
  assert.equal((await producer.send({ topic: 't', value: 'three' }, within())).offset, 2n);
});

test('unknown_names_are_refused_with_the_nearest', async (t) => {
  const broker = await withBroker(t);
  const refused = (promise, message) => assert.rejects(promise, (error) => {
    assert.ok(error instanceof FaultError && error instanceof BrokerError);
    assert.match(error.message, message);
    return true;
  });
  const error = 'NOT_LEADER_OR_FOLLOWER';
  await refused(broker.inject({ api: 'Prodcue', error }), /did you mean "Produce"\?/);
  const part = broker.inject({ api: 'Produce', error: 'NOT_LEADER' });
  await refused(part, /did you mean "NOT_LEADER_OR_FOLLOWER"/);
  await refused(broker.delay({ ms: 1, tpic: 't' }), /unknown field of delay "tpic": did you mean/);
  await refused(broker.delay({ api: 'Heartbeat', ms: 1, topic: 't' }), /Heartbeat has no topic/);
  await refused(broker.dropConnections({ times: 0 }), /times must be at least 1/);
  assert.deepEqual(await broker.faults(), []);
});

test('a_broker_that_cannot_start_says_why', async (t) => {
  const start = (options) => Broker.start(options);
  const nearest = /did not start: .*did you mean 'num.partitions'/;
  await assert.rejects(start({ config: { 'num.partition': 1 } }), nearest);
  const binary = join(folder(t), 'missing');
  await assert.rejects(start({ binary }), /binary names .*, which is no program/);
  await assert.rejects(start({ conf: {} }), /unknown option "conf": known are config, dataDir/);
  const broker = new Broker();
  assert.throws(() => broker.bootstrapServers, /was not started/);
  await assert.rejects(broker.faults(), /does not run/);
  await broker.close();
});

test('a_broker_that_ended_by_itself_says_so', async (t) => {
  const broker = await withBroker(t);
  process.kill(broker.pid, 'SIGTERM');
  await eventually('it ended', () => !broker.isRunning);
  await assert.rejects(broker.faults(), /has ended by itself: [^]*shutting down/);
  await broker.restart();
  assert.deepEqual(await broker.faults(), []);
});

test('nothing_stays_when_it_is_closed', async (t) => {
  const broker = await Broker.start();
  const { dataDir, port } = broker;
  assert.ok(existsSync(join(dataDir, 'meta.properties')));
  await broker.kill();
  await broker.close();
  assert.ok(!existsSync(dataDir));
  await broker.close();
  const mine = { dataDir: join(folder(t), 'mine') };
  const first = await withBroker(t, mine);
  const producer = await withProducer(t, first);
  await producer.send({ topic: 't', value: 'kept' }, within());
  await first[Symbol.asyncDispose]();
  assert.equal(await isReachable(port), false);
  const second = await withBroker(t, mine);
  assert.deepEqual(await values(second, 't', 1), ['kept']);
});

test('nothing_stays_when_the_test_process_is_killed', async () => {
  for (const acts of [[], ['kill'], ['stop'], ['kill', 'restart']]) {
    const script = `
      const { Broker } = require(${JSON.stringify(join(here, '../index.cjs'))});
      (async () => {
        const broker = await Broker.start();
        for (const act of ${JSON.stringify(acts)}) await broker[act]();
        console.log(JSON.stringify({ port: broker.port, dataDir: broker.dataDir }));
      })();
      process.stdin.resume();`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = await once(child.stdout, 'data');
    const { port, dataDir } = JSON.parse(line);
    assert.ok(existsSync(dataDir));
    assert.equal(await isReachable(port), acts.length !== 1);
    child.kill('SIGKILL');
    await eventually('the broker is gone', async () => !await isReachable(port));
    await eventually('its folder is gone', () => !existsSync(dataDir));
  }
});

test('the_process_ends_by_itself', () => {
  const script = `
    import { Broker } from ${JSON.stringify(join(here, '../index.mjs'))};
    const broker = await Broker.start();
    await broker.faults();
    console.log(broker.dataDir);`;
  const args = ['--input-type=module', '-e', script];
  const run = spawnSync(process.execPath, args, { timeout: 60_000, encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return eventually('its folder is gone', () => !existsSync(run.stdout.trim()));
});

test('esm_and_commonjs', () => {
  const common = createRequire(import.meta.url)('../index.cjs');
  assert.equal(common.Broker, Broker);
  assert.equal(testing.FaultError, FaultError);
});

test('the_readme_examples_run', (t) => {
  const readmes = ['../../README.md', '../README.md'].map((path) => join(here, path));
  const text = readmes.map((path) => readFileSync(path, 'utf8')).join('');
  const examples = [...text.matchAll(/```js\n([^]*?)```/g)];
  assert.equal(examples.length, 2);
  const place = folder(t);
  mkdirSync(join(place, 'node_modules'));
  symlinkSync(join(here, '../../../node'), join(place, 'node_modules/ottla'));
  symlinkSync(join(here, '..'), join(place, 'node_modules/ottla-testing'));
  for (const [, example] of examples) {
    const file = join(place, 'example.mjs');
    writeFileSync(file, example);
    const run = spawnSync(process.execPath, [file], { timeout: 60_000, encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
  }
});
