// @platformatic/kafka: a promise per call of `send`, which takes many messages.
import { InFlight, lines, load, main, report, windows } from './common.mjs'

const { Consumer, Producer } = load('@platformatic/kafka')

async function produce(options) {
  const values = lines(options.payload)
  const producer = new Producer({
    clientId: 'bench',
    bootstrapBrokers: options.bootstrap.split(','),
  })
  const { topic, codec: compression } = options
  const inFlight = new InFlight()
  const start = performance.now()
  for (const window of windows(options.records, values, 5_000)) {
    const messages = window.map((value) => ({ topic, value }))
    await inFlight.add(producer.send({ messages, acks: -1, compression }), 4)
  }
  await inFlight.drain()
  report(options.records, start)
  await producer.close()
}

async function consume(options) {
  const consumer = new Consumer({
    clientId: 'bench',
    groupId: `platformatic-${process.pid}-${Date.now()}`,
    bootstrapBrokers: options.bootstrap.split(','),
  })
  const stream = await consumer.consume({
    topics: [options.topic],
    mode: 'earliest',
    autocommit: false,
  })
  let records = 0
  let bytes = 0
  const start = performance.now()
  await new Promise((resolve, reject) => {
    stream.on('error', reject)
    stream.on('data', (message) => {
      records += 1
      bytes += message.value.length
      if (records === options.records) resolve()
    })
  })
  report(records, start, bytes)
  await stream.close()
  await consumer.close(true)
}

await main({ produce, consume })
