// KafkaJS: a promise per call of `send`, which takes many messages; it has no buffer of its own.
import { InFlight, lines, load, main, report, windows } from './common.mjs'

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = load('kafkajs')
const lz4 = load('lz4-napi')

CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
})
const CODECS = { none: 'None', lz4: 'LZ4' }
const connect = (options) =>
  new Kafka({ brokers: options.bootstrap.split(','), logLevel: logLevel.ERROR })

async function produce(options) {
  const values = lines(options.payload)
  const producer = connect(options).producer()
  await producer.connect()
  const compression = CompressionTypes[CODECS[options.codec]]
  const inFlight = new InFlight()
  const start = performance.now()
  for (const window of windows(options.records, values, 2_000)) {
    const messages = window.map((value) => ({ value }))
    await inFlight.add(
      producer.send({ topic: options.topic, acks: -1, compression, messages }),
      4,
    )
  }
  await inFlight.drain()
  report(options.records, start)
  await producer.disconnect()
}

async function consume(options) {
  const consumer = connect(options).consumer({ groupId: `kafkajs-${process.pid}-${Date.now()}` })
  await consumer.connect()
  await consumer.subscribe({ topics: [options.topic], fromBeginning: true })
  let records = 0
  let bytes = 0
  let start
  let finish
  const finished = new Promise((resolve) => (finish = resolve))
  const take = (message) => {
    records += 1
    bytes += message.value.length
    if (records === options.records) {
      report(records, start, bytes)
      finish()
    }
  }
  const eachMessage = async ({ message }) => take(message)
  const eachBatch = async ({ batch }) => batch.messages.forEach(take)
  // The clock starts when the member has its partitions.
  consumer.on(consumer.events.GROUP_JOIN, () => (start ??= performance.now()))
  await consumer.run({
    autoCommit: false,
    ...(options.by === 'batch' ? { eachBatch } : { eachMessage }),
  })
  await finished
  await consumer.disconnect()
}

await main({ produce, consume })
