// Sends lines: `node produce.mjs HOST:PORT TOPIC [COUNT]`. Each promise tells where its record is.
import { OttlaError, Producer } from 'ottla';

const [bootstrapServers = '127.0.0.1:9092', topic = 'lines', count = '1000'] = (
  process.argv.slice(2));

const producer = await Producer.connect({ bootstrapServers, compressionType: 'lz4', lingerMs: 5 });
try {
  const sent = [];
  for (let i = 0; i < Number(count); i += 1) {
    sent.push(producer.send({ topic, key: `line ${i}`, value: `this is line ${i}` }));
    // Not more than some thousand at once: what waits takes memory here.
    if (sent.length % 5000 === 0) await Promise.all(sent);
  }
  const written = await Promise.all(sent);
  const partitions = new Set(written.map((each) => each.partition));
  console.log(`sent ${written.length} records to ${partitions.size} partitions of ${topic}`);
} catch (error) {
  if (!(error instanceof OttlaError)) throw error;
  const hint = error.possiblyWritten ? ' (it may have been written all the same)' : '';
  console.error(`${error.code}: ${error.message}${hint}`);
  process.exitCode = 1;
} finally {
  await producer.close();
}
