// What the tests share.

import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { Consumer, Producer } from '../../../node/index.mjs';
import { Broker } from '../index.mjs';

export const here = dirname(fileURLToPath(import.meta.url));
export const PATIENCE = 20_000;

// The newest build from source.
const builds = ['release', 'debug']
  .map((profile) => join(here, '../../../../target', profile, 'ottla-broker'))
  .filter(existsSync)
  .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
if (builds.length > 0) process.env.OTTLA_BROKER_BIN ??= builds[0];

/** A broker for one test. */
export async function withBroker(t, options = {}) {
  const broker = await Broker.start({ config: { 'num.partitions': 1 }, ...options });
  t.after(() => broker.close());
  return broker;
}

export async function withProducer(t, broker, settings = {}) {
  const { bootstrapServers } = broker;
  const producer = await Producer.connect({ bootstrapServers, ...settings });
  t.after(() => producer.close());
  return producer;
}

/** The values of a topic's first records, and that there are no more. */
export async function values(broker, topic, count) {
  const consumer = await Consumer.connect({
    bootstrapServers: broker.bootstrapServers,
    autoOffsetReset: 'earliest',
  }, { partitions: [{ topic, partition: 0 }] });
  const signal = AbortSignal.timeout(PATIENCE);
  try {
    const [{ offset }] = await consumer.endOffsets([{ topic, partition: 0 }]);
    assert.equal(offset, BigInt(count));
    const found = [];
    for (let n = 0; n < count; n += 1) {
      const record = await consumer.next({ signal });
      found.push(Buffer.from(record.value).toString());
    }
    return found;
  } finally {
    await consumer.close();
  }
}

/** Waits until a condition holds. */
export async function eventually(what, condition) {
  const deadline = Date.now() + PATIENCE;
  while (!await condition()) {
    assert.ok(Date.now() < deadline, `never: ${what}`);
    await later(1);
  }
}

export function isReachable(port) {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
