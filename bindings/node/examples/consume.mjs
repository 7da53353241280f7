// Consumes as a member of a group until Ctrl-C, or until COUNT records:
// `node consume.mjs HOST:PORT TOPIC GROUP [COUNT]`. Start it twice: the members share the
// partitions.
import { Consumer } from 'ottla';

const [
  bootstrapServers = '127.0.0.1:9092', topic = 'lines', groupId = 'readers', count = 'Infinity',
] = process.argv.slice(2);

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const consumer = await Consumer.connect(
  { bootstrapServers, groupId, autoOffsetReset: 'earliest' },
  {
    topics: [topic],
    onRebalance: ({ type, partitions }) => {
      console.log(`${type}: ${partitions.map((each) => each.partition).join(' ')}`);
    },
  },
);

let seen = 0;
try {
  // A record is finished when the next one is asked for; what is finished is committed by itself.
  for await (const record of consumer.records({ signal: stop.signal })) {
    seen += 1;
    if (seen <= 3) console.log(`${record.partition}@${record.offset}: ${record.value}`);
    if (seen === Number(count)) break;
  }
  // The last one is finished, too.
  await consumer.commit();
} catch (error) {
  if (!stop.signal.aborted) throw error;
} finally {
  await consumer.close();
}
console.log(`consumed ${seen} records`);
