// Exactly once into SQLite: `node sqlite-sink.mjs HOST:PORT TOPIC FILE [to-end]`. A batch's records
// and the offset after them are written in one transaction, so that after a crash at any point the
// database says where to go on. The group's own offsets are not used. With `to-end` it ends at what
// is the topic's end when it starts.
//
// SQLite is the package node-sqlite3-wasm: it needs no build, writes the file itself (sql.js only
// exports whole databases), and works on every Node (`node:sqlite` exists from 22 on). Its lock is
// a folder that a killed process leaves behind; only this program writes the file, so that it can
// be removed first.
import { rmSync } from 'node:fs';
import { Admin, Consumer } from 'ottla';
import sqlite from 'node-sqlite3-wasm';

const [
  bootstrapServers = '127.0.0.1:9092', topic = 'balances', file = 'sink.db', mode = 'forever',
] = process.argv.slice(2);

rmSync(`${file}.lock`, { recursive: true, force: true });
const database = new sqlite.Database(file);
database.exec(`
  CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, amount TEXT, changes INTEGER);
  CREATE TABLE IF NOT EXISTS offsets (partition INTEGER PRIMARY KEY, next TEXT NOT NULL);
`);
const upsert = database.prepare(`
  INSERT INTO balances VALUES (?, ?, 1)
  ON CONFLICT (account) DO UPDATE SET amount = excluded.amount, changes = changes + 1`);
const advance = database.prepare(`
  INSERT INTO offsets VALUES (?, ?)
  ON CONFLICT (partition) DO UPDATE SET next = excluded.next`);

const admin = await Admin.connect({ bootstrapServers });
const [described] = await admin.describeTopics([topic]);
await admin.close();
if (!described || described.error !== null) throw described?.error ?? new Error('no answer');

const partitions = described.partitions.map(({ partition }) => ({ topic, partition }));
const consumer = await Consumer.connect(
  { bootstrapServers, autoOffsetReset: 'earliest', isolationLevel: 'read_committed' },
  { partitions },
);
const ends = mode === 'to-end' ? await consumer.endOffsets(partitions) : undefined;
/** Where the database stands; a partition without a row has not begun. */
const next = new Map();
for (const row of database.all('SELECT partition, next FROM offsets')) {
  next.set(Number(row.partition), BigInt(String(row.next)));
}
for (const [partition, offset] of next) consumer.seek({ topic, partition }, offset);
const isAtEnd = () => ends?.every(({ partition, offset }) => (next.get(partition) ?? 0n) >= offset);

let applied = 0;
while (!isAtEnd()) {
  const batch = await consumer.nextBatch();
  if (batch === null) break;
  database.exec('BEGIN IMMEDIATE');
  for (const record of batch) upsert.run([String(record.key), String(record.value)]);
  advance.run([batch.partition, String(batch.lastOffset + 1n)]);
  database.exec('COMMIT');
  next.set(batch.partition, batch.lastOffset + 1n);
  applied += batch.length;
  console.log(`applied ${applied}`);
}
await consumer.close();
upsert.finalize();
advance.finalize();
database.close();
