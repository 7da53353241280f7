// Every example, and the README's.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sqlite from 'node-sqlite3-wasm';
import {
  folder, onEachBroker, producer, reader, run, take, text, topic, uniqueName,
} from './support.mjs';

const example = (name) => join(folder, 'examples', `${name}.mjs`);

function ended({ code, out, errors, isLate }) {
  assert(!isLate, `it did not end: ${out} ${errors}`);
  assert.equal(code, 0, errors);
  return out;
}

onEachBroker((broker) => {
  test('the_readmes_example_runs', async (t) => {
    const name = await topic(t, broker);
    const [, code] = /```js\n(.*?)```/s.exec(readFileSync(join(folder, 'README.md'), 'utf8'));
    const script = code.replaceAll('127.0.0.1:9092', broker.address)
      .replaceAll("'greetings'", `'${name}'`).replaceAll("'readers'", `'${uniqueName('g')}'`);
    const out = ended(await run(['--input-type=module', '--eval', script]));
    assert.deepEqual(out, ['written at offset 0', 'world: hello']);
  });

  test('examples_produce_and_consume', async (t) => {
    const name = await topic(t, broker, 3);
    const sent = ended(await run([example('produce'), broker.address, name, '500']));
    assert.deepEqual(sent, [`sent 500 records to 3 partitions of ${name}`]);
    const group = uniqueName('g');
    const args = [example('consume'), broker.address, name, group];
    assert.equal(ended(await run([...args, '200'])).at(-1), 'consumed 200 records');
    assert.equal(ended(await run([...args, '300'])).at(-1), 'consumed 300 records');
    // Nothing is left; Ctrl-C ends it.
    const out = ended(await run(args, {
      onLine: (line, child) => { if (line.startsWith('assigned')) child.kill('SIGINT'); },
    }));
    assert.equal(out.at(-1), 'consumed 0 records');
    const failed = await run([example('produce'), '127.0.0.1:1', name]);
    assert.match(failed.errors, /UNREACHABLE|cannot reach/);
    assert.equal(failed.code, 1);
  });

  test('example_http_service', async (t) => {
    const name = await topic(t, broker);
    const answers = [];
    const post = async (base, key, body) => {
      const response = await fetch(`${base}/${key}`, { method: 'POST', body });
      return [response.status, await response.text()];
    };
    const service = run([example('http-service'), broker.address, name], {
      onLine: async (line, child) => {
        const [, base] = /^listening on (\S+)/.exec(line) ?? [];
        if (base === undefined) return;
        const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
        answers.push(...await Promise.all(keys.map((key) => post(base, key, `body of ${key}`))));
        answers.push(await post(base, 'large', Buffer.alloc(3_000_000)));
        child.kill('SIGINT');
      },
    });
    assert.equal(ended(await service).at(-1), 'closed');
    const refused = answers.pop();
    assert.equal(refused[0], 400, refused[1]);
    assert(answers.every(([status]) => status === 201), JSON.stringify(answers));
    const offsets = answers.map(([, body]) => Number(JSON.parse(body).offset));
    assert.deepEqual(offsets.sort((a, b) => a - b), answers.map((_, i) => i));
    const records = await take(await reader(t, broker, name), answers.length);
    for (const record of records) assert.equal(text(record.value), `body of ${text(record.key)}`);
  });

  test('example_sqlite_sink', async (t) => {
    const place = mkdtempSync(join(tmpdir(), 'ottla-node-sink-'));
    t.after(() => rmSync(place, { recursive: true }));
    const file = join(place, 'sink.db');
    const name = await topic(t, broker, 2);
    const sender = await producer(t, broker, { batchSize: 1_000 });
    const count = 2_000;
    const send = async (from) => Promise.all(Array.from({ length: count }, (_, i) => (
      sender.send({ topic: name, key: `account ${i % 10}`, value: `${from + i}` }))));
    await send(0);
    // Killed in the middle, twice, then run to the end.
    const args = [example('sqlite-sink'), broker.address, name, file];
    for (let i = 0; i < 2; i += 1) {
      const killed = await run(args, { onLine: (_, child) => child.kill('SIGKILL') });
      assert.equal(killed.signal, 'SIGKILL', killed.errors);
    }
    await send(count);
    ended(await run([...args, 'to-end']));
    // Again: nothing is applied twice.
    assert.deepEqual(ended(await run([...args, 'to-end'])), []);
    const database = new sqlite.Database(file);
    t.after(() => database.close());
    const [{ changes }] = database.all('SELECT sum(changes) AS changes FROM balances');
    const rows = database.all('SELECT account, amount FROM balances ORDER BY account');
    assert.equal(Number(changes), 2 * count, 'each record was applied once');
    const expected = Array.from({ length: 10 }, (_, i) => (
      { account: `account ${i}`, amount: `${2 * count - 10 + i}` }));
    assert.deepEqual(rows.map((row) => ({ ...row })), expected);
  });
});
