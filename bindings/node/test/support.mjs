// What the tests share: brokers, names, waiting for conditions, programs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  existsSync, mkdtempSync, readFileSync, readdirSync, rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Admin, Consumer, Producer } from 'ottla';

export const folder = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(dirname(folder));

/** How long a test may wait for a condition. */
export const DEADLINE_MS = 30_000;

function brokerProgram() {
  const places = [
    process.env.OTTLA_BROKER_BIN,
    join(root, 'target/release/ottla-broker'),
    join(root, 'target/debug/ottla-broker'),
  ];
  const found = places.find((place) => place && existsSync(place));
  assert(found, 'no ottla-broker: set OTTLA_BROKER_BIN or build it');
  return found;
}

/** A broker process on a free port, with a folder of its own. */
export class BrokerProcess {
  #child;
  #data = mkdtempSync(join(tmpdir(), 'ottla-node-test-'));
  #settings;

  static async start(settings = []) {
    const broker = new BrokerProcess(settings);
    await broker.start(0);
    return broker;
  }

  constructor(settings) {
    this.#settings = settings.flatMap((setting) => ['--set', setting]);
  }

  async start(port = Number(this.address.split(':')[1])) {
    const args = ['dev', '--port', String(port), '--data-dir', this.#data, ...this.#settings];
    const child = spawn(brokerProgram(), args, {
      env: { ...process.env, OTTLA_LOG: 'warn' }, stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    for await (const line of createInterface(child.stdout)) {
      const ready = /ready on (\S+) /.exec(line);
      if (ready === null) continue;
      [, this.address] = ready;
      child.stdout.resume();
      return;
    }
    throw new Error('the broker did not become ready');
  }

  /** As a broken machine does it. */
  async kill() {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => { child.once('exit', resolve); });
    child.kill('SIGKILL');
    await gone;
  }

  /** As a machine that hangs. The signal takes effect later than `kill` returns: this waits. */
  freeze() {
    this.#child.kill('SIGSTOP');
    const deadline = Date.now() + DEADLINE_MS;
    while (!this.isFrozen()) assert(Date.now() < deadline, 'the broker did not stop');
  }

  /** Whether every thread has stopped, where the system tells. */
  isFrozen() {
    const threads = `/proc/${this.#child.pid}/task`;
    if (!existsSync(threads)) return true;
    const state = (thread) => readFileSync(join(threads, thread, 'stat'), 'utf8').split(') ')[1];
    return readdirSync(threads).every((thread) => state(thread).startsWith('T'));
  }

  thaw() {
    this.#child.kill('SIGCONT');
  }

  async stop() {
    await this.kill();
    rmSync(this.#data, { recursive: true, force: true });
  }
}

/** A broker that a group of tests uses: one that runs, or one of its own. */
class Target {
  #own;

  constructor(name, address) {
    this.name = name;
    this.address = address;
  }

  async start() {
    if (this.address !== undefined) return;
    this.#own = await BrokerProcess.start();
    this.address = this.#own.address;
  }

  async stop() {
    await this.#own?.stop();
  }
}

/** Defines tests for every broker that OTTLA_TEST_BROKERS names; without it for one of our own. */
export function onEachBroker(define) {
  const given = process.env.OTTLA_TEST_BROKERS;
  const named = given ? given.split(',').map((each) => each.split('=')) : [['ottla', undefined]];
  for (const [name, address] of named) {
    describe(name, () => {
      const broker = new Target(name, address);
      before(() => broker.start());
      after(() => broker.stop());
      define(broker);
    });
  }
}

let names = 0;

/** A name that no other test has. */
export function uniqueName(prefix) {
  names += 1;
  return `${prefix}-${process.pid}-${Date.now().toString(36)}-${names}`;
}

/** Clients that are closed when the test ends. */
export async function producer(t, broker, settings = {}) {
  const made = await Producer.connect({ bootstrapServers: broker.address, ...settings });
  t.after(() => made.close({ timeoutMs: 1_000 }).catch(() => {}));
  return made;
}

export async function consumer(t, broker, settings, options) {
  const common = { bootstrapServers: broker.address, autoOffsetReset: 'earliest' };
  const made = await Consumer.connect({ ...common, ...settings }, options);
  t.after(() => made.close().catch(() => {}));
  return made;
}

export async function admin(t, broker) {
  const made = await Admin.connect({ bootstrapServers: broker.address });
  t.after(() => made.close());
  return made;
}

/** Makes a topic of its own and answers its name. */
export async function topic(t, broker, partitions = 1, configs = {}) {
  const name = uniqueName('t');
  const client = await admin(t, broker);
  // Records stay however old their timestamps are.
  const kept = { 'retention.ms': '-1', ...configs };
  await client.createTopic({ name, partitions, replicationFactor: 1, configs: kept });
  return name;
}

/** All partitions of a topic. */
export const partitionsOf = (name, count = 1) => (
  Array.from({ length: count }, (_, partition) => ({ topic: name, partition }))
);

/** A consumer of all partitions of a topic, from the beginning. */
export async function reader(t, broker, name, count = 1, settings = {}) {
  return consumer(t, broker, settings, { partitions: partitionsOf(name, count) });
}

/** So many records. */
export async function take(client, count) {
  const records = [];
  const signal = AbortSignal.timeout(DEADLINE_MS);
  while (records.length < count) records.push(await client.next({ signal }));
  return records;
}

/** Waits until the condition answers something true. */
export async function until(what, condition) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    assert(Date.now() < deadline, `not in time: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

/** Runs a program of this package to its end; answers its exit code, signal, and what it wrote. */
export function run(args, { env = {}, onLine, timeoutMs = DEADLINE_MS, stdin } = {}) {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env },
    stdio: [stdin ?? 'ignore', 'pipe', 'pipe'],
  });
  const out = [];
  let errors = '';
  let isLate = false;
  const timer = setTimeout(() => { isLate = true; child.kill('SIGKILL'); }, timeoutMs);
  createInterface(child.stdout).on('line', (line) => { out.push(line); onLine?.(line, child); });
  child.stderr.on('data', (data) => { errors += data; });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, out, errors, isLate });
    });
  });
}

/** Runs a piece of a module that has `ottla` and the broker's address. */
export function runScript(broker, body, options = {}) {
  const script = `
    import { Admin, Consumer, Producer } from 'ottla';
    const bootstrapServers = process.env.BROKER;
    ${body}`;
  const flags = options.flags ?? [];
  return run([...flags, '--input-type=module', '--eval', script], {
    ...options, env: { BROKER: broker.address, ...options.env },
  });
}

/** The error that a promise is rejected with. */
export async function failure(promise) {
  const end = await promise.then((value) => ({ value }), (error) => ({ error }));
  assert('error' in end, 'it should have failed');
  return end.error;
}

export const text = (bytes) => (bytes === null ? null : bytes.toString());
