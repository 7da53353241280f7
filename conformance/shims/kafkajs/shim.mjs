// KafkaJS. It has gzip only; the other codecs are those that people use with it.

import { createRequire } from 'node:module'
import { encode, main, say, unimplemented } from '../lines.mjs'

// The packages live in the folder of tools, not beside this file.
const named = process.env.OTTLA_NODE_TOOLS
const tools = named ? `${named}/` : new URL('../../../.tools/node/', import.meta.url)
const require = createRequire(tools)
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
})
// By streaming, since frames need not say their content's size.
let zstd
const loadZstd = async () =>
  (zstd ??= await new Promise((resolve) => {
    ZstdCodec.run((codec) => resolve(new codec.Streaming()))
  }))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await loadZstd()).compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await loadZstd()).decompress(buffer)),
})
const CODECS = { none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' }

const ALREADY_EXISTS = 36

function describe(error) {
  // The last of many tries says how many there were; its cause, what happened.
  const last = error.name === 'KafkaJSNumberOfRetriesExceeded' ? error.cause : error
  const cause = last.errors?.[0] ?? last
  const name = cause.type ?? cause.name
  const code = typeof cause.code === 'number' ? cause.code : null
  return { code, name, retriable: error.retriable ?? null, message: cause.message }
}

const connect = (bootstrap, requestTimeout) =>
  new Kafka({
    clientId: 'kafkajs-shim',
    brokers: bootstrap.split(','),
    // Its log is for standard error: standard output is the suite's.
    logCreator: () => ({ log }) => process.stderr.write(`${log.message} ${log.error ?? ''}\n`),
    logLevel: logLevel.ERROR,
    // Its back-off is drawn at random, in all up to twice as long: without, runs are alike.
    retry: { factor: 0 },
    ...(requestTimeout === undefined ? {} : { requestTimeout: Number(requestTimeout) }),
  })

/** Several values under one name are a list; null where its object cannot say it. */
function toHeaders(pairs) {
  const headers = {}
  for (const [name, value] of pairs) {
    if (value === null) return null
    headers[name] = name in headers ? [headers[name], value].flat() : value
  }
  const back = fromHeaders(headers)
  return back.every(([name], at) => name === pairs[at][0]) ? headers : null
}

const fromHeaders = (headers) =>
  Object.entries(headers ?? {}).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((value) => [name, encode(value)]),
  )

/** It has no buffer of records: those of one linger and of known partitions go in one call. */
async function producer(task) {
  const options = { metadataMaxAge: Number(task.config['metadata.max.age.ms'] ?? 300000) }
  if (task.idempotence !== null) options.idempotent = task.idempotence
  const inFlight = task.config['max.in.flight.requests.per.connection']
  if (inFlight !== undefined || task.idempotence) {
    options.maxInFlightRequests = Number(inFlight ?? 1)
  }
  const client = connect(task.bootstrap, task.request_timeout_ms).producer(options)
  await client.connect()
  let waiting = []
  let timer
  let before = Promise.resolve()

  function flush() {
    clearTimeout(timer)
    const records = waiting
    waiting = []
    if (records.length > 0) before = before.then(() => write(records))
    return before
  }

  async function write(records) {
    try {
      const sent = await client.send({
        topic: task.topic,
        messages: records.map(({ message }) => message),
        acks: task.acks === 'all' ? -1 : Number(task.acks),
        compression: CompressionTypes[CODECS[task.compression]],
      })
      const next = new Map(sent.map((part) => [part.partition, Number(part.baseOffset ?? -1)]))
      for (const { message, resolve } of records) {
        const [first] = next.keys()
        const partition = message.partition ?? first ?? -1
        const offset = next.get(partition) ?? -1
        if (offset >= 0) next.set(partition, offset + 1)
        resolve({ partition, offset })
      }
    } catch (error) {
      for (const { reject } of records) reject(error)
    }
  }

  async function send(record) {
    const headers = toHeaders(record.headers)
    if (headers === null) {
      const why = 'KafkaJS has headers in an object: no null values, names together'
      return unimplemented(why)
    }
    const message = { key: record.key, value: record.value, headers }
    if (record.partition !== null) message.partition = record.partition
    if (record.timestamp !== null) message.timestamp = String(record.timestamp)
    // Its answer tells partitions, not records: one without a partition goes alone.
    if (record.partition === null) void flush()
    const sent = new Promise((resolve, reject) => waiting.push({ message, resolve, reject }))
    clearTimeout(timer)
    if (record.partition === null || task.linger_ms === 0) void flush()
    else timer = setTimeout(flush, task.linger_ms)
    return sent
  }
  return { send, finish: flush, close: () => client.disconnect() }
}

async function consume(task, { ended, deliver, failed, hasDelivered }) {
  if (task.group === null) await unimplemented('KafkaJS has no consumer without a group')
  if (task.offset_reset === 'none') await unimplemented('KafkaJS always resets the position')
  const { config } = task
  const client = connect(task.bootstrap, config['request.timeout.ms']).consumer({
    groupId: task.group,
    sessionTimeout: task.session_timeout_ms,
    heartbeatInterval: Number(config['heartbeat.interval.ms'] ?? 3000),
    metadataMaxAge: Number(config['metadata.max.age.ms'] ?? 300000),
    maxWaitTimeInMs: Number(config['fetch.max.wait.ms'] ?? 500),
    readUncommitted: task.isolation === 'read_uncommitted',
  })
  const next = new Map()
  client.on(client.events.GROUP_JOIN, ({ payload }) => {
    const assigned = Object.entries(payload.memberAssignment)
    say({ assigned: assigned.flatMap(([topic, parts]) => parts.map((part) => [topic, part])) })
  })
  client.on(client.events.CRASH, ({ payload }) => failed(payload.error))
  await client.connect()
  await client.subscribe({
    topics: task.topics,
    fromBeginning: task.offset_reset === 'earliest',
  })
  let isOver = false
  await client.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      if (isOver) return
      isOver = !deliver({
        topic,
        partition,
        offset: Number(message.offset),
        timestamp: Number(message.timestamp),
        key: encode(message.key),
        value: encode(message.value),
        headers: fromHeaders(message.headers),
      })
      const offset = String(Number(message.offset) + 1)
      next.set(`${topic} ${partition}`, { topic, partition, offset })
    },
  })
  await ended
  isOver = true
  if (task.commit && hasDelivered()) await client.commitOffsets([...next.values()]).catch(failed)
  await client.disconnect()
}

async function administrator(task) {
  const client = connect(task.bootstrap, task.config['request.timeout.ms']).admin()
  await client.connect()
  return {
    async create(topic, numPartitions, replicationFactor) {
      const topics = [{ topic, numPartitions, replicationFactor }]
      if (await client.createTopics({ topics })) return
      // All that it tells of this failure is false.
      const type = 'TOPIC_ALREADY_EXISTS'
      throw Object.assign(new Error(`topic ${topic} exists`), { code: ALREADY_EXISTS, type })
    },
    delete: (topic) => client.deleteTopics({ topics: [topic] }),
    topics: () => client.listTopics(),
    async describe(topic) {
      const { topics } = await client.fetchTopicMetadata({ topics: [topic] })
      const { partitions } = topics[0]
      return partitions.map(({ partitionId: partition, leader }) => ({ partition, leader }))
    },
    close: () => client.disconnect(),
  }
}

await main({
  client: 'kafkajs',
  version: require('kafkajs/package.json').version,
  describe,
  producer,
  consume,
  administrator,
})
