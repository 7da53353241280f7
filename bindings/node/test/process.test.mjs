// The process around the clients: when it ends, threads, signals, module systems.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onEachBroker, run, runScript, topic } from './support.mjs';

/** The program ended by itself and well. */
function endedWell({ code, signal, out, errors, isLate }) {
  assert(!isLate, `it did not end: ${out} ${errors}`);
  assert.deepEqual([code, signal], [0, null], errors);
  return out;
}

/** It ended, in whatever way, but did not crash. */
function didNotCrash({ code, signal, errors, isLate }) {
  assert(!isLate, `it did not end: ${errors}`);
  assert(!['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL'].includes(signal), `${signal}: ${errors}`);
  assert.doesNotMatch(errors, /panicked|FATAL|Check failed/);
  return code;
}

onEachBroker((broker) => {
  test('the_process_ends_by_itself', async (t) => {
    const name = await topic(t, broker);
    const clients = `
      const producer = await Producer.connect({ bootstrapServers });
      await producer.send({ topic: '${name}', value: 'x' });
      const consumer = await Consumer.connect(
        { bootstrapServers, autoOffsetReset: 'earliest' },
        { partitions: [{ topic: '${name}', partition: 0 }] });
      await consumer.nextBatch();
      const admin = await Admin.connect({ bootstrapServers });
      await admin.listTopics();
      console.log('done');`;
    const closing = 'await Promise.all([producer.close(), consumer.close(), admin.close()]);';
    assert.deepEqual(endedWell(await runScript(broker, clients + closing)), ['done']);
    // Idle clients do not keep it alive either.
    assert.deepEqual(endedWell(await runScript(broker, clients)), ['done']);
    const disposing = `
      {
        const consumer = await Consumer.connect({ bootstrapServers });
        const waiting = consumer.next();
        await consumer[Symbol.asyncDispose]();
        console.log(await waiting);
      }`;
    assert.deepEqual(endedWell(await runScript(broker, disposing)), ['null']);
  });

  test('the_process_stays_while_work_is_in_flight', async (t) => {
    const name = await topic(t, broker);
    const sending = `
      const producer = await Producer.connect({ bootstrapServers, lingerMs: 500 });
      producer.send({ topic: '${name}', value: 'late' }).then((written) => {
        console.log(String(written.offset));
      });
      console.log('end of the program');`;
    assert.deepEqual(endedWell(await runScript(broker, sending)), ['end of the program', '0']);
    const waiting = `
      const consumer = await Consumer.connect(
        { bootstrapServers }, { partitions: [{ topic: '${name}', partition: 0 }] });
      consumer.seekToEnd({ topic: '${name}', partition: 0 });
      const signal = AbortSignal.timeout(700);
      consumer.next({ signal }).catch((error) => console.log(error.name));`;
    assert.deepEqual(endedWell(await runScript(broker, waiting)), ['TimeoutError']);
  });

  test('esm_and_commonjs', async () => {
    const modules = `
      import { createRequire } from 'node:module';
      import ottla, * as named from 'ottla';
      const required = createRequire(process.cwd() + '/x.js')('ottla');
      const same = Object.keys(required).filter((key) => (
        named[key] === required[key] && ottla[key] === required[key]));
      console.log(same.length === Object.keys(required).length, same.length > 20);`;
    const esm = await run(['--input-type=module', '--eval', modules]);
    assert.deepEqual(endedWell(esm), ['true true']);
    const commonjs = `
      const { Producer } = require('ottla');
      (async () => {
        const producer = await Producer.connect({ bootstrapServers: process.env.BROKER });
        await producer.close();
        console.log(typeof Producer);
      })();`;
    const cjs = await run(['--input-type=commonjs', '--eval', commonjs], {
      env: { BROKER: broker.address },
    });
    assert.deepEqual(endedWell(cjs), ['function']);
  });

  /** Clients with everything in flight. */
  const busy = (name) => `
    const producer = await Producer.connect({ bootstrapServers, lingerMs: 200 });
    const consumer = await Consumer.connect(
      { bootstrapServers, groupId: '${name}' + Math.random(), autoOffsetReset: 'earliest' },
      { topics: ['${name}'], onRebalance: () => {} });
    const send = () => {
      for (let i = 0; i < 100; i += 1) {
        producer.send({ topic: '${name}', value: Buffer.alloc(1000) }).catch(() => {});
      }
    };
    send();
    for await (const record of consumer) if (record.offset === 50n) break;
    const admin = await Admin.connect({ bootstrapServers });
    admin.listTopics().catch(() => {});
    consumer.next().catch(() => {});
    send();
    console.log('busy');`;

  test('exit_with_work_in_flight', async (t) => {
    const name = await topic(t, broker);
    for (let i = 0; i < 3; i += 1) {
      assert.equal(didNotCrash(await runScript(broker, `${busy(name)} process.exit(3);`)), 3);
    }
    const thrown = await runScript(broker, `${busy(name)} throw new Error('on purpose');`);
    assert.equal(didNotCrash(thrown), 1);
    const closing = `${busy(name)} consumer.close(); producer.close(); process.exit(4);`;
    assert.equal(didNotCrash(await runScript(broker, closing)), 4);
  });

  test('signals_end_the_process', async (t) => {
    const name = await topic(t, broker);
    const interrupt = (line, child) => { if (line === 'busy') child.kill('SIGINT'); };
    const plain = await runScript(broker, busy(name), { onLine: interrupt });
    didNotCrash(plain);
    assert.equal(plain.signal, 'SIGINT');
    const handled = `
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      ${busy(name)}
      const closed = consumer.close();
      for await (const record of consumer) void record;
      await closed;
      const alive = setTimeout(() => {}, 20_000);
      if (!stop.signal.aborted) {
        await new Promise((resolve) => { stop.signal.addEventListener('abort', resolve); });
      }
      clearTimeout(alive);
      await producer.close();
      console.log('closed');`;
    const graceful = await runScript(broker, handled, { onLine: interrupt });
    assert.deepEqual(endedWell(graceful), ['busy', 'closed']);
  });

  test('worker_threads_have_clients_of_their_own', async (t) => {
    const name = await topic(t, broker);
    const script = `
      import { once } from 'node:events';
      import { Worker, isMainThread, parentPort } from 'node:worker_threads';
      const code = \`
        import { parentPort } from 'node:worker_threads';
        import { Admin, Consumer, Producer } from 'ottla';
        const bootstrapServers = process.env.BROKER;
        ${busy(name).replace("console.log('busy')", "parentPort.postMessage('busy')")}
        await consumer.close();
      \`;
      // Some are terminated with everything in flight, others end by themselves.
      const resolved = code.replace("'ottla'", JSON.stringify(import.meta.resolve('ottla')));
      const url = new URL('data:text/javascript,' + encodeURIComponent(resolved));
      const main = await Producer.connect({ bootstrapServers });
      for (let i = 0; i < 6; i += 1) {
        const worker = new Worker(url);
        await once(worker, 'message');
        if (i % 2 === 0) await worker.terminate();
        else await once(worker, 'exit');
        await main.send({ topic: '${name}', value: 'from the main thread' });
      }
      console.log('done');`;
    assert.deepEqual(endedWell(await runScript(broker, script)), ['done']);
  });
});
