// KafkaJS. The actions are those of ../python/wire.py.

import { createRequire } from 'node:module'
import readline from 'node:readline'

// The packages live in the folder of tools, not beside this file.
const require = createRequire(`${process.env.OTTLA_NODE_TOOLS}/`)
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs')
const snappy = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')

// By streaming, since frames need not say their content's size.
const zstd = await new Promise((resolve) => {
  ZstdCodec.run((codec) => resolve(new codec.Streaming()))
})
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
})
const CODECS = { none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' }
const DEADLINE_MS = 25_000

const emit = (event, fields) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
const unhex = (text) => (text === null ? null : Buffer.from(text, 'hex'))
const tohex = (data) => (data ?? null) && Buffer.from(data).toString('hex')
const connect = (bootstrap) =>
  new Kafka({ clientId: 'kafkajs', brokers: bootstrap.split(','), logLevel: logLevel.ERROR })

// Several values under one name are a list of values; their order among other names is not kept.
function toHeaders(pairs) {
  const headers = {}
  for (const [name, value] of pairs) {
    if (name in headers) headers[name] = [headers[name], unhex(value)].flat()
    else headers[name] = unhex(value)
  }
  return headers
}

const fromHeaders = (headers) =>
  Object.entries(headers ?? {}).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((value) => [name, tohex(value)]),
  )

const emitMessage = (topic, partition, message) =>
  emit('record', {
    topic,
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: tohex(message.key),
    value: tohex(message.value),
    headers: fromHeaders(message.headers),
  })

async function produce({ bootstrap, jobs }) {
  const kafka = connect(bootstrap)
  const topics = jobs
    .filter(({ partitions }) => partitions > 0)
    .map(({ topic, partitions }) => ({ topic, numPartitions: partitions }))
  if (topics.length > 0) {
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics })
    await admin.disconnect()
  }
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (const { topic, codec, records } of jobs) {
    const messages = records.map((record) => ({
      partition: record.partition,
      key: unhex(record.key),
      value: unhex(record.value),
      headers: toHeaders(record.headers),
    }))
    const sent = await producer.send({
      topic,
      messages,
      acks: -1,
      compression: CompressionTypes[CODECS[codec]],
    })
    const next = new Map(sent.map((part) => [part.partition, Number(part.baseOffset)]))
    for (const { partition } of messages) {
      emit('produced', { topic, partition, offset: next.get(partition) })
      next.set(partition, next.get(partition) + 1)
    }
  }
  await producer.disconnect()
}

async function consume({ bootstrap, topics }) {
  let left = Object.values(topics).reduce((sum, count) => sum + count, 0)
  const consumer = connect(bootstrap).consumer({
    groupId: `kafkajs-${process.pid}`,
    maxWaitTimeInMs: 200,
  })
  await consumer.connect()
  await consumer.subscribe({ topics: Object.keys(topics), fromBeginning: true })
  await new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, DEADLINE_MS)
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ topic, partition, message }) => {
          emitMessage(topic, partition, message)
          left -= 1
          if (left === 0) {
            clearTimeout(timer)
            resolve()
          }
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
}

async function member({ bootstrap, group, topic }, commands) {
  const consumer = connect(bootstrap).consumer({
    groupId: group,
    sessionTimeout: 10_000,
    heartbeatInterval: 300,
    rebalanceTimeout: 10_000,
    maxWaitTimeInMs: 200,
  })
  await consumer.connect()
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
    emit('assigned', { partitions: (payload.memberAssignment[topic] ?? []).sort() }),
  )
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      emitMessage(topic, partition, message)
      const offset = Number(message.offset) + 1
      await consumer.commitOffsets([{ topic, partition, offset: String(offset) }])
      emit('committed', { partition, offset })
    },
  })
  for await (const line of commands) if (line.trim() === 'leave') break
  await consumer.disconnect()
  emit('left', {})
}

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const task = JSON.parse((await lines.next()).value)
await { produce, consume, member }[process.argv[2]](task, lines)
// What was written last is on its way until this is called; exiting before would cut it off.
process.stdout.write('', () => process.exit(0))
