'use strict';
// Batches and records: views on the bytes that came, read when they are looked at.

const { inspect } = require('node:util');

/** Integers per record in the index; see `Index` in the shared crate. */
const FIELDS = 8;
const TWO_32 = 2 ** 32;

/** One record of a batch: a view. */
class Record {
  #batch;
  #at;

  constructor(batch, at) {
    this.#batch = batch;
    this.#at = at;
  }

  get topic() { return this.#batch.topic; }

  get partition() { return this.#batch.partition; }

  get offset() { return this.#batch._offset(this.#at); }

  get timestamp() { return this.#batch._timestamp(this.#at); }

  get key() { return this.#batch._bytes(this.#at + 3); }

  get value() { return this.#batch._bytes(this.#at + 5); }

  get headers() { return this.#batch._headers(this.#at); }

  toJSON() {
    const { topic, partition, offset, timestamp, key, value, headers } = this;
    return {
      topic, partition, offset: String(offset), timestamp, key, value, headers,
    };
  }

  [inspect.custom](depth, options) {
    const { topic, partition, offset, timestamp, key, value, headers } = this;
    const fields = { topic, partition, offset, timestamp, key, value, headers };
    return `Record ${inspect(fields, options)}`;
  }
}

/** Records of one partition, in order of their offsets. */
class Batch {
  #index;
  #headersAt;
  #data;
  #first;
  #base;
  #baseTimestamp;

  constructor(parts, first = 0) {
    const [topic, partition, base, last, leaderEpoch, baseTimestamp, count, integers, all] = parts;
    this.topic = topic;
    this.partition = partition;
    this.length = count - first;
    this.lastOffset = last;
    this.leaderEpoch = leaderEpoch;
    this.#base = base;
    this.#baseTimestamp = baseTimestamp;
    this.#headersAt = count * FIELDS;
    this.#first = first * FIELDS;
    this.#index = new Int32Array(all, 0, integers);
    this.#data = Buffer.from(all, integers * 4);
  }

  get baseOffset() {
    return this.#first > 0 ? this._offset(this.#first) : this.#base;
  }

  /** The record at an index; undefined past the end. */
  at(i) {
    if (i < 0) i += this.length;
    if (!(i >= 0 && i < this.length)) return undefined;
    return new Record(this, this.#first + i * FIELDS);
  }

  offset(i) { return this._offset(this.#place(i)); }

  timestamp(i) { return this._timestamp(this.#place(i)); }

  key(i) { return this._bytes(this.#place(i) + 3); }

  value(i) { return this._bytes(this.#place(i) + 5); }

  headers(i) { return this._headers(this.#place(i)); }

  * [Symbol.iterator]() {
    const end = this.#first + this.length * FIELDS;
    for (let at = this.#first; at < end; at += FIELDS) yield new Record(this, at);
  }

  [inspect.custom](depth, options) {
    const { topic, partition, baseOffset, lastOffset, length } = this;
    const fields = { topic, partition, baseOffset, lastOffset, length };
    return `Batch ${inspect(fields, options)}`;
  }

  #place(i) {
    if (!Number.isInteger(i) || i < 0 || i >= this.length) {
      throw new RangeError(`index must be from 0 to ${this.length - 1}, not ${i}`);
    }
    return this.#first + i * FIELDS;
  }

  /** @hidden How far the record after this one may be from the base offset. */
  _next(i) { return this.#index[this.#first + i * FIELDS] + 1; }

  _offset(at) { return this.#base + BigInt(this.#index[at]); }

  _timestamp(at) {
    return this.#baseTimestamp + this.#index[at + 2] * TWO_32 + (this.#index[at + 1] >>> 0);
  }

  _bytes(at) {
    const length = this.#index[at + 1];
    if (length < 0) return null;
    const start = this.#index[at];
    return this.#data.subarray(start, start + length);
  }

  _headers(at) {
    const headers = [];
    if (this.#index[at + 7] < 0) return headers;
    let place = this.#headersAt + this.#index[at + 7];
    const count = this.#index[place];
    for (place += 1; headers.length < count; place += 4) {
      const start = this.#index[place];
      const key = this.#data.utf8Slice(start, start + this.#index[place + 1]);
      headers.push([key, this._bytes(place + 2)]);
    }
    return headers;
  }
}

module.exports = { Batch, Record };
