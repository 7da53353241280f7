// What the shims in JavaScript share: lines of JSON in and out. README.md says what they mean.

import { createInterface } from 'node:readline'

export const PRODUCE = {
  acks: 'all',
  idempotence: null,
  compression: 'none',
  linger_ms: 5,
  request_timeout_ms: 3000,
  delivery_timeout_ms: 15000,
  wait_each: false,
  config: {},
}
export const RECORD = { partition: null, key: null, value: null, headers: [], timestamp: null }
export const CONSUME = {
  group: null,
  offset_reset: 'earliest',
  isolation: 'read_uncommitted',
  count: null,
  commit: true,
  session_timeout_ms: 10000,
  config: {},
}
export const ADMIN = { config: {} }

export const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
export const encode = (bytes) => (bytes == null ? null : Buffer.from(bytes).toString('base64'))
export const decode = (text) => (text === null ? null : Buffer.from(text, 'base64'))

/** Ends the process once everything that was said is out. */
export const exit = (status) => process.stdout.write('', () => process.exit(status))

/** Never comes back. */
export function unimplemented(why) {
  say({ unimplemented: why })
  exit(89)
  return new Promise(() => {})
}

/** The task, then its lines as they come. */
async function* input() {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() !== '') yield JSON.parse(line)
  }
}

function record(line) {
  const { partition, key, value, headers, timestamp } = { ...RECORD, ...line }
  const pairs = headers.map(([name, bytes]) => [name, decode(bytes)])
  return { partition, key: decode(key), value: decode(value), headers: pairs, timestamp }
}

/**
 * `connect(task)` gives `{ send(record), close() }`; `send` promises `{ partition, offset }` and
 * takes the records in the order of its calls.
 */
async function produce(connect, describe) {
  const lines = input()
  const task = { ...PRODUCE, ...(await lines.next()).value }
  const failed = (number) => (error) => say({ record: number, error: describe(error) })
  let number = 0
  let producer
  try {
    producer = await connect(task)
  } catch (error) {
    // No client, so no record can be written: the suite wants to hear why.
    for await (const _ of lines) failed(number++)(error)
    return
  }
  const sent = []
  for await (const line of lines) {
    const written = (which) => (place) => say({ record: which, ...place })
    const done = producer.send(record(line)).then(written(number), failed(number))
    if (task.wait_each) await done
    sent.push(done)
    number += 1
  }
  await Promise.all([producer.finish?.(), ...sent])
  // What it says of the records has been told.
  await producer.close().catch((error) => process.stderr.write(`closing: ${error}\n`))
}

/**
 * `run(task, { ended, deliver, describe })` consumes until the promise `ended` is fulfilled;
 * `deliver(record)` answers whether another record is wanted.
 */
async function consumeGroup(run, describe) {
  const lines = input()
  const task = { ...CONSUME, ...(await lines.next()).value }
  let end
  const ended = new Promise((resolve) => (end = resolve))
  const drained = (async () => {
    for await (const _ of lines);
    end()
  })()
  let delivered = 0
  const deliver = (record) => {
    if (delivered === task.count) return false
    say(record)
    delivered += 1
    if (delivered === task.count) end()
    return delivered !== task.count
  }
  if (task.count === 0) end()
  const failed = (error) => say({ error: describe(error) })
  try {
    await run(task, { ended, deliver, failed, hasDelivered: () => delivered > 0 })
  } catch (error) {
    failed(error)
  }
  void drained
}

/** `connect(task)` gives `{ create, delete, topics, describe, close }`. */
async function admin(connect, describe) {
  const lines = input()
  const task = { ...ADMIN, ...(await lines.next()).value }
  let client
  try {
    client = await connect(task)
  } catch (error) {
    for await (const _ of lines) say({ error: describe(error) })
    return
  }
  for await (const line of lines) {
    try {
      say(await operate(client, line))
    } catch (error) {
      say({ error: describe(error) })
    }
  }
  await client.close()
}

async function operate(client, { operation, topic, partitions, replication }) {
  switch (operation) {
    case 'create-topic':
      await client.create(topic, partitions, replication)
      return { ok: true }
    case 'delete-topic':
      await client.delete(topic)
      return { ok: true }
    case 'list-topics':
      return { topics: await client.topics() }
    case 'describe-topic':
      return { partitions: await client.describe(topic) }
    default:
      return unimplemented(`there is no operation ${operation}`)
  }
}

export async function main({ client, version, describe, producer, consume, administrator }) {
  const operation = process.argv[2]
  if (operation === 'version') say({ client, version })
  else if (operation === 'produce') await produce(producer, describe)
  else if (operation === 'consume-group') await consumeGroup(consume, describe)
  else if (operation === 'admin') await admin(administrator, describe)
  else await unimplemented(`there is no operation ${operation}`)
  if (operation !== 'version') say({ done: true })
  exit(0)
}
