// ottla: a promise per record, or one per call of `sendMany`.
import { lines, load, main, report, windows } from './common.mjs'

const { Consumer, Producer } = load('ottla')

async function produce(options) {
  const values = lines(options.payload)
  const producer = await Producer.connect({
    bootstrapServers: options.bootstrap,
    acks: 'all',
    compressionType: options.codec,
  })
  const { topic } = options
  const start = performance.now()
  let before
  for (const window of windows(options.records, values)) {
    const sent = options.many
      ? producer.sendMany(topic, window.map((value) => ({ value })))
      : Promise.all(window.map((value) => producer.send({ topic, value })))
    // One window is on its way while the next is made.
    await before
    before = sent
  }
  await before
  report(options.records, start)
  await producer.close()
}

async function consume(options) {
  const partitions = Array.from({ length: 6 }, (_, partition) => ({
    topic: options.topic,
    partition,
  }))
  const settings = { bootstrapServers: options.bootstrap, autoOffsetReset: 'earliest' }
  const consumer = await Consumer.connect(settings, { partitions })
  const take = options.by === 'batch' ? byBatch : byRecord
  const start = performance.now()
  const { records, bytes } = await take(consumer, options.records)
  report(records, start, bytes)
  await consumer.close()
}

async function byRecord(consumer, wanted) {
  let records = 0
  let bytes = 0
  for await (const record of consumer) {
    records += 1
    bytes += record.value.length
    if (records === wanted) break
  }
  return { records, bytes }
}

async function byBatch(consumer, wanted) {
  let records = 0
  let bytes = 0
  for await (const batch of consumer.batches()) {
    for (let i = 0; i < batch.length; i += 1) bytes += batch.value(i).length
    records += batch.length
    if (records >= wanted) break
  }
  return { records, bytes }
}

await main({ produce, consume })
