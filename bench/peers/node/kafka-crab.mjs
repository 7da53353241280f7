// kafka-crab-js: librdkafka; a promise per call of `send`, which takes many messages.
import { InFlight, lines, load, main, report, windows } from './common.mjs'

const { KafkaClient } = load('kafka-crab-js')

async function produce(options) {
  const values = lines(options.payload)
  const client = new KafkaClient({ brokers: options.bootstrap, clientId: 'bench' })
  const producer = client.createProducer({
    configuration: {
      acks: 'all',
      'compression.type': options.codec,
      'queue.buffering.max.messages': '1000000',
    },
  })
  const inFlight = new InFlight()
  const start = performance.now()
  for (const window of windows(options.records, values)) {
    const messages = window.map((payload) => ({ payload }))
    await inFlight.add(producer.send({ topic: options.topic, messages }), 2)
  }
  await inFlight.drain()
  report(options.records, start)
}

async function consume(options) {
  const client = new KafkaClient({ brokers: options.bootstrap, clientId: 'bench' })
  const byBatch = options.by === 'batch'
  const { consumer, stream } = client.createWebStreamConsumer({
    groupId: `crab-${process.pid}-${Date.now()}`,
    enableAutoCommit: false,
    ...(byBatch ? { batchSize: 4_096, batchTimeout: 2 } : {}),
    configuration: { 'auto.offset.reset': 'earliest' },
  })
  await consumer.subscribe(options.topic)
  const reader = stream.getReader()
  let records = 0
  let bytes = 0
  let start
  while (records < options.records) {
    const { value, done } = await reader.read()
    if (done) throw new Error('the stream ended')
    // The clock starts when the member has its partitions.
    start ??= performance.now()
    for (const message of byBatch ? value : [value]) {
      records += 1
      bytes += message.payload.length
    }
  }
  report(records, start, bytes)
  await reader.cancel()
  reader.releaseLock()
  await consumer.disconnect()
}

await main({ produce, consume })
