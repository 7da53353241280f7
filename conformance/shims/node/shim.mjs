// Ottla for Node.

import { readFileSync } from 'node:fs'
import * as ottla from '../../../bindings/node/index.mjs'
import { encode, main, say } from '../lines.mjs'

const { Admin, ConfigError, Consumer, OttlaError, Producer } = ottla

const manifest = new URL('../../../bindings/node/package.json', import.meta.url)

function describe(error) {
  if (!(error instanceof OttlaError)) throw error
  return { code: null, name: error.code, retriable: error.retriable, message: error.message }
}

/** A client with those settings of `config` that it has. */
async function make(kind, config, settings, options) {
  const known = { ...config }
  for (;;) {
    try {
      return await kind.connect({ ...known, ...settings }, options)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      const unknown = Object.keys(known).find((name) => error.message.includes(`"${name}"`))
      if (unknown === undefined) throw error
      delete known[unknown]
    }
  }
}

async function producer(task) {
  const settings = {
    'bootstrap.servers': task.bootstrap,
    acks: task.acks,
    'compression.type': task.compression,
    'linger.ms': task.linger_ms,
    'request.timeout.ms': task.request_timeout_ms,
    'delivery.timeout.ms': task.delivery_timeout_ms,
    'max.block.ms': task.delivery_timeout_ms,
  }
  if (task.idempotence !== null) settings['enable.idempotence'] = task.idempotence
  const client = await make(Producer, task.config, settings)
  return {
    async send({ partition, timestamp, ...rest }) {
      const record = { topic: task.topic, ...rest }
      if (partition !== null) record.partition = partition
      if (timestamp !== null) record.timestamp = timestamp
      const written = await client.send(record)
      return { partition: written.partition, offset: Number(written.offset) }
    },
    close: () => client.close(),
  }
}

const places = (partitions) => partitions.map(({ topic, partition }) => [topic, partition])

function onRebalance({ type, partitions }) {
  if (type === 'assigned') say({ assigned: places(partitions) })
  if (type === 'revoked' || type === 'lost') say({ revoked: places(partitions) })
}

/** All partitions of topics. */
async function partitionsOf(topics, bootstrap) {
  const admin = await Admin.connect({ 'bootstrap.servers': bootstrap })
  const described = await admin.describeTopics(topics)
  await admin.close()
  return described.flatMap(({ name, partitions, error }) => {
    if (error !== null) throw error
    return partitions.map(({ partition }) => ({ topic: name, partition }))
  })
}

async function consume(task, { ended, deliver, failed, hasDelivered }) {
  const settings = {
    'bootstrap.servers': task.bootstrap,
    'auto.offset.reset': task.offset_reset,
    'isolation.level': task.isolation,
    'session.timeout.ms': task.session_timeout_ms,
    'enable.auto.commit': false,
  }
  const options = {}
  if (task.group !== null) {
    settings['group.id'] = task.group
    Object.assign(options, { topics: task.topics, onRebalance })
  } else {
    options.partitions = await partitionsOf(task.topics, task.bootstrap)
    say({ assigned: places(options.partitions) })
  }
  const client = await make(Consumer, task.config, settings, options)
  const end = new AbortController()
  void ended.then(() => end.abort())
  while (!end.signal.aborted) {
    try {
      const record = await client.next({ signal: end.signal })
      if (record === null || !deliver(line(record))) break
    } catch (error) {
      if (end.signal.aborted) break
      failed(error)
      if (error.fatal) break
    }
  }
  if (task.commit && task.group !== null && hasDelivered()) await client.commit().catch(failed)
  await client.close()
}

const line = (record) => ({
  topic: record.topic,
  partition: record.partition,
  offset: Number(record.offset),
  timestamp: record.timestamp,
  key: encode(record.key),
  value: encode(record.value),
  headers: record.headers.map(([name, value]) => [name, encode(value)]),
})

async function administrator(task) {
  const client = await make(Admin, task.config, { 'bootstrap.servers': task.bootstrap })
  return {
    create: (name, partitions, replicationFactor) =>
      client.createTopic({ name, partitions, replicationFactor }),
    delete: (topic) => client.deleteTopic(topic),
    topics: async () => (await client.listTopics()).map(({ name }) => name),
    async describe(topic) {
      const [{ partitions, error }] = await client.describeTopics([topic])
      if (error !== null) throw error
      return partitions.map(({ partition, leader }) => ({ partition, leader: leader ?? -1 }))
    },
    close: () => client.close(),
  }
}

await main({
  client: 'ottla for Node',
  version: JSON.parse(readFileSync(manifest)).version,
  describe,
  producer,
  consume,
  administrator,
})
