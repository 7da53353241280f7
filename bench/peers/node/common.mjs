// The command line that every client of the comparison has, and the one line that it prints.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

export const PARTITIONS = 6

/** Records that a program hands over together; two such windows are on the way at a time. */
export const WINDOW = 10_000

/** Packages come from the folder that the comparison installed them into. */
export const load = createRequire(join(process.env.OTTLA_BENCH_NODE ?? process.cwd(), 'index.js'))

export function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      bootstrap: { type: 'string' },
      topic: { type: 'string' },
      records: { type: 'string' },
      payload: { type: 'string' },
      codec: { type: 'string', default: 'none' },
      by: { type: 'string', default: 'record' },
      many: { type: 'boolean', default: false },
    },
  })
  return { ...values, command: positionals[0], records: Number(values.records) }
}

/** The lines of a file, as buffers. */
export function lines(path) {
  const text = readFileSync(path)
  const found = []
  let start = 0
  for (let end = text.indexOf(10); end >= 0; end = text.indexOf(10, start)) {
    if (end > start) found.push(text.subarray(start, end))
    start = end + 1
  }
  return found
}

/** Values for so many records, `size` at a time. */
export function* windows(records, values, size = WINDOW) {
  for (let done = 0; done < records; ) {
    const count = Math.min(size, records - done)
    const at = done % values.length
    let window = values.slice(at, at + count)
    while (window.length < count) window = window.concat(values.slice(0, count - window.length))
    yield window
    done += count
  }
}

/** Keeps up to `limit` promises on the way; the last call of all is `drain()`. */
export class InFlight {
  #waiting = []

  async add(promise, limit) {
    this.#waiting.push(promise)
    while (this.#waiting.length >= limit) await this.#waiting.shift()
  }

  async drain() {
    await Promise.all(this.#waiting)
  }
}

/** Prints what the comparison reads: records, and seconds since `start`. */
export function report(records, start, bytes) {
  const seconds = (performance.now() - start) / 1000
  console.log(JSON.stringify({ records, seconds, bytes }))
}

/** Runs what the command line names. */
export async function main(commands) {
  const given = options()
  await commands[given.command](given)
}
