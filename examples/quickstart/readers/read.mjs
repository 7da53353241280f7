// Reads a topic to its end and says, as JSON, what came: node read.mjs BOOTSTRAP TOPIC COUNT.
import { Consumer } from 'ottla';

// A record that does not come for so long does not come at all.
const STALL_MS = 30_000;

const [bootstrapServers, topic, count] = process.argv.slice(2);
const partitions = Array.from({ length: Number(count) }, (_, partition) => ({ topic, partition }));

const began = performance.now();
const rows = [];
const counts = {};
let bytes = 0;
const settings = { bootstrapServers, autoOffsetReset: 'earliest' };
const consumer = await Consumer.connect(settings, { partitions });
let left = 0n;
for (const { offset } of await consumer.endOffsets(partitions)) left += offset;
while (left > 0n) {
  const batch = await consumer.nextBatch({ signal: AbortSignal.timeout(STALL_MS) });
  left -= BigInt(batch.length);
  for (const { key, value, headers } of batch) {
    const row = headers.find(([name]) => name === 'row')?.[1];
    rows.push(row ? Number(row.readBigUInt64BE()) : -1);
    const name = String(key ?? '');
    counts[name] = (counts[name] ?? 0) + 1;
    bytes += (key?.length ?? 0) + (value?.length ?? 0);
  }
}
await consumer.close();
const seconds = (performance.now() - began) / 1000;
console.log(JSON.stringify({ version: `Node ${process.version}`, rows, counts, bytes, seconds }));
