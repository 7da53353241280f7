'use strict';
// Records on their way into the native side: integers in one array, bytes in another, so that many
// records cross in one call. The layout is that of src/packed.rs.

const { wrongType, invalid } = require('./errors.cjs');
const { INT32_MAX, timestamp } = require('./arguments.cjs');

const FIELDS = 9;
const NO_TIMESTAMP = -(2 ** 31);
const TWO_32 = 2 ** 32;

/** Bytes at which the records should be handed over. */
const FULL_BYTES = 128 * 1024;
const FULL_FIELDS = 16 * 1024;

class Pack {
  constructor() {
    this.bytes = Buffer.allocUnsafeSlow(2 * FULL_BYTES);
    this.fields = new Int32Array(FULL_FIELDS + 1024);
    this.length = 0;
    this.fieldCount = 0;
  }

  get isFull() {
    return this.length >= FULL_BYTES || this.fieldCount >= FULL_FIELDS;
  }

  /** Throws what `add` would. */
  static check({ partition, timestamp: time, key, value, headers }) {
    if (partition !== undefined) partitionOf(partition);
    if (time !== undefined) timestamp('record.timestamp', time);
    checkBytes('record.key', key);
    checkBytes('record.value', value);
    if (headers === undefined) return;
    for (const [name, content] of headerPairs(headers)) {
      if (typeof name !== 'string') throw wrongType('a header\'s key', 'a string', name);
      checkBytes(`header "${name}"`, content);
    }
  }

  /** Adds a record, which waited so long before. One that is refused leaves nothing behind. */
  add(slot, topic, record, waitedMs = 0) {
    const { length, fieldCount } = this;
    try {
      this.#add(slot, topic, record, waitedMs);
    } catch (error) {
      this.length = length;
      this.fieldCount = fieldCount;
      throw error;
    }
  }

  #add(slot, topic, record, waitedMs) {
    const { partition, headers } = record;
    const at = this.fieldCount;
    this.#reserveFields(FIELDS);
    this.fieldCount = at + FIELDS;
    this.fields[at] = slot;
    this.fields[at + 1] = topic;
    this.fields[at + 2] = partition === undefined ? -1 : partitionOf(partition);
    if (record.timestamp === undefined) {
      this.fields[at + 4] = NO_TIMESTAMP;
    } else {
      const time = timestamp('record.timestamp', record.timestamp);
      this.fields[at + 3] = time % TWO_32;
      this.fields[at + 4] = Math.floor(time / TWO_32);
    }
    const key = this.#put('record.key', record.key);
    const value = this.#put('record.value', record.value);
    this.fields[at + 5] = key;
    this.fields[at + 6] = value;
    this.fields[at + 7] = headers === undefined ? 0 : this.#headers(headers);
    this.fields[at + 8] = Math.min(waitedMs, INT32_MAX);
  }

  #headers(headers) {
    let count = 0;
    for (const [key, value] of headerPairs(headers)) {
      if (typeof key !== 'string') throw wrongType('a header\'s key', 'a string', key);
      const at = this.fieldCount;
      this.#reserveFields(2);
      this.fieldCount = at + 2;
      const keyLength = this.#put('a header\'s key', key);
      const valueLength = this.#put(`header "${key}"`, value);
      this.fields[at] = keyLength;
      this.fields[at + 1] = valueLength;
      count += 1;
    }
    return count;
  }

  /** Adds bytes; answers how many, or -1 for null. */
  #put(what, value) {
    if (typeof value === 'string') {
      const start = this.length;
      this.#reserve(value.length * 3);
      this.length += this.bytes.utf8Write(value, start);
      return this.length - start;
    }
    if (value === null || value === undefined) return -1;
    let bytes = value;
    if (!(value instanceof Uint8Array)) bytes = viewOf(what, value);
    const { byteLength } = bytes;
    this.#reserve(byteLength);
    this.bytes.set(bytes, this.length);
    this.length += byteLength;
    return byteLength;
  }

  #reserve(count) {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.bytes.length));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  #reserveFields(count) {
    const needed = this.fieldCount + count;
    if (needed <= this.fields.length) return;
    const larger = new Int32Array(2 * needed);
    larger.set(this.fields.subarray(0, this.fieldCount));
    this.fields = larger;
  }

  /** Hands everything to `append(fields, bytes)`; room that one large record needed is freed. */
  drain(append) {
    const fields = this.fields.subarray(0, this.fieldCount);
    const bytes = this.bytes.subarray(0, this.length);
    this.fieldCount = 0;
    this.length = 0;
    if (this.bytes.length > 2 * FULL_BYTES) this.bytes = Buffer.allocUnsafeSlow(2 * FULL_BYTES);
    return append(fields, bytes);
  }
}

function partitionOf(partition) {
  if (typeof partition !== 'number') throw wrongType('record.partition', 'a number', partition);
  if (!Number.isInteger(partition) || partition < 0 || partition > INT32_MAX) {
    throw invalid(`record.partition must be a whole number from 0 on, not ${partition}`);
  }
  return partition;
}

function checkBytes(what, value) {
  const isPlain = typeof value === 'string' || value === null || value === undefined;
  if (!isPlain && !(value instanceof Uint8Array)) viewOf(what, value);
}

function viewOf(what, value) {
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw wrongType(what, 'a string, a Uint8Array, an ArrayBuffer or null', value);
}

function headerPairs(headers) {
  if (headers instanceof Map || Array.isArray(headers)) return headers;
  if (typeof headers === 'object' && headers !== null) return Object.entries(headers);
  throw wrongType('record.headers', 'an array of pairs, a Map or an object', headers);
}

module.exports = { Pack };
