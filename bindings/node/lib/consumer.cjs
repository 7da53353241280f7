'use strict';
// The consumer: batches, and records as a view that tells the core how far it is.

const args = require('./arguments.cjs');
const { check, fromFailure, invalid } = require('./errors.cjs');
const { loop, listeners, call, promised, newKey } = require('./loop.cjs');
const { Batch } = require('./batch.cjs');

/** Batches that are there are handed out without a turn of the event loop for at most so long. */
const TURN_MS = 5;

const turn = () => new Promise((resolve) => { setImmediate(resolve); });

class Consumer {
  #native;
  #key;
  /** The batch that is consumed record by record: `{ parts, batch, given }`. */
  #open;
  #isAsking = false;
  #turnBegan = 0;
  #closing;

  /** @hidden Use `Consumer.connect`. */
  constructor(secret, key, native) {
    if (secret !== SECRET) throw new TypeError('a consumer is made by Consumer.connect(settings)');
    this.#key = key;
    this.#native = native;
  }

  static async connect(settings, options = {}) {
    const pairs = args.settings('settings', settings);
    const { topics, partitions, onRebalance } = args.object('options', options);
    const key = newKey();
    const names = topics === undefined ? [] : args.strings('options.topics', topics);
    const assigned = partitions === undefined
      ? [] : args.partitions('options.partitions', partitions);
    if (onRebalance !== undefined) {
      listeners.set(key, args.callback('options.onRebalance', onRebalance));
    }
    const wants = onRebalance !== undefined;
    const start = () => loop.connectConsumer(key, pairs, names, assigned, wants);
    try {
      return new Consumer(SECRET, key, await call(start, args.signalOf(options)));
    } catch (error) {
      listeners.delete(key);
      throw error;
    }
  }

  async nextBatch(options) {
    const signal = args.signalOf(options);
    signal?.throwIfAborted();
    const open = this.#open;
    if (open && open.given < open.batch.length) {
      const rest = new Batch(open.parts, open.given);
      open.given = open.batch.length;
      return rest;
    }
    this.#open = undefined;
    const parts = await this.#ask(signal);
    return parts === null ? null : new Batch(parts);
  }

  async next(options) {
    const signal = args.signalOf(options);
    signal?.throwIfAborted();
    for (;;) {
      const record = this.#nextOpen();
      if (record !== undefined) return record;
      const parts = await this.#ask(signal);
      if (parts === null) return null;
      this.#open = { parts, batch: new Batch(parts), given: 0 };
    }
  }

  /** The next record of the open batch; the one before it is finished by asking. */
  #nextOpen() {
    const open = this.#open;
    if (open === undefined) return undefined;
    const { batch, given } = open;
    if (given === batch.length || (given > 0 && !this.#finish(batch, given))) {
      this.#open = undefined;
      return undefined;
    }
    open.given = given + 1;
    return batch.at(given);
  }

  /** Tells the core that so many records are finished; false: the batch has to be given back. */
  #finish(batch, count) {
    return this.#native.finishUpTo(batch._next(count - 1));
  }

  /** Asks for a batch; what was handed out before is finished. */
  async #ask(signal) {
    if (this.#isAsking) {
      throw invalid('another call waits for records: await it, or abort it by its signal');
    }
    this.#isAsking = true;
    try {
      if (performance.now() - this.#turnBegan > TURN_MS) {
        await turn();
        this.#turnBegan = performance.now();
        signal?.throwIfAborted();
      }
      const found = this.#native.nextBatch();
      if (found === null || Array.isArray(found)) return found;
      if (typeof found !== 'number') throw fromFailure(found);
      const isOpen = await promised(found, signal);
      this.#turnBegan = performance.now();
      return isOpen ? this.#native.takeBatch() : null;
    } finally {
      this.#isAsking = false;
    }
  }

  batches(options) {
    args.signalOf(options);
    return new Items(() => this.nextBatch(options));
  }

  records(options) {
    const signal = args.signalOf(options);
    const now = () => (signal?.aborted ? undefined : this.#nextOpen());
    return new Items(() => this.next(options), now);
  }

  [Symbol.asyncIterator]() {
    return this.records();
  }

  async commit(options) {
    const signal = args.signalOf(options);
    const open = this.#open;
    if (open && open.given > 0 && !this.#finish(open.batch, open.given)) this.#open = undefined;
    return call(() => this.#native.commit(), signal);
  }

  async commitOffsets(offsets, options) {
    const signal = args.signalOf(options);
    const entries = args.array('offsets', offsets).map((entry, i) => {
      const what = `offsets[${i}]`;
      const { leaderEpoch, metadata } = args.object(what, entry);
      return [
        ...args.partition(what, entry),
        args.offset(`${what}.offset`, entry.offset),
        leaderEpoch === undefined || leaderEpoch === null
          ? null : args.integer(`${what}.leaderEpoch`, leaderEpoch),
        metadata === undefined || metadata === null
          ? null : args.string(`${what}.metadata`, metadata),
      ];
    });
    return call(() => this.#native.commitOffsets(entries), signal);
  }

  subscribe(topics) {
    this.#open = undefined;
    check(this.#native.subscribe(args.strings('topics', topics)));
  }

  assign(partitions) {
    const assigned = args.partitions('partitions', partitions);
    this.#open = undefined;
    check(this.#native.assign(assigned));
  }

  assignment() {
    return this.#native.assignment();
  }

  position(partition) {
    const [topic, number] = args.partition('partition', partition);
    const open = this.#open;
    if (this.#isOf(topic, number) && open.given < open.batch.length) {
      return open.batch.offset(open.given);
    }
    return this.#native.position(topic, number);
  }

  lag(partition) {
    return this.#native.lag(...args.partition('partition', partition));
  }

  seek(partition, offset) {
    const [topic, number] = args.partition('partition', partition);
    check(this.#native.seek(topic, number, args.offset('offset', offset)));
    this.#leave(topic, number);
  }

  seekToBeginning(partition) {
    const [topic, number] = args.partition('partition', partition);
    check(this.#native.seekToBeginning(topic, number));
    this.#leave(topic, number);
  }

  seekToEnd(partition) {
    const [topic, number] = args.partition('partition', partition);
    check(this.#native.seekToEnd(topic, number));
    this.#leave(topic, number);
  }

  seekToTimestamp(partition, timestamp) {
    const [topic, number] = args.partition('partition', partition);
    const at = args.timestamp('timestamp', timestamp);
    check(this.#native.seekToTimestamp(topic, number, at));
    this.#leave(topic, number);
  }

  pause(partition) {
    check(this.#native.pause(...args.partition('partition', partition)));
  }

  resume(partition) {
    check(this.#native.resume(...args.partition('partition', partition)));
  }

  isPaused(partition) {
    return this.#native.isPaused(...args.partition('partition', partition));
  }

  async committed(partitions, options) {
    const wanted = args.partitions('partitions', partitions);
    return call(() => this.#native.committed(wanted), args.signalOf(options));
  }

  async beginningOffsets(partitions, options) {
    const wanted = args.partitions('partitions', partitions);
    return call(() => this.#native.beginningOffsets(wanted), args.signalOf(options));
  }

  async endOffsets(partitions, options) {
    const wanted = args.partitions('partitions', partitions);
    return call(() => this.#native.endOffsets(wanted), args.signalOf(options));
  }

  async offsetsForTimes(times, options) {
    const wanted = args.array('times', times).map((entry, i) => [
      ...args.partition(`times[${i}]`, entry),
      args.timestamp(`times[${i}].timestamp`, entry.timestamp),
    ]);
    return call(() => this.#native.offsetsForTimes(wanted), args.signalOf(options));
  }

  close(options) {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async #close(options) {
    const signal = args.signalOf(options);
    this.#open = undefined;
    try {
      return await call(() => this.#native.close(), signal);
    } finally {
      listeners.delete(this.#key);
    }
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }

  #isOf(topic, number) {
    const batch = this.#open?.batch;
    return batch !== undefined && batch.topic === topic && batch.partition === number;
  }

  #leave(topic, number) {
    if (this.#isOf(topic, number)) this.#open = undefined;
  }
}

/** What `for await` runs over: `wait` waits for an item, `now` has one if it is there. */
class Items {
  #wait;
  #now;
  #isDone = false;

  constructor(wait, now = () => undefined) {
    this.#wait = wait;
    this.#now = now;
  }

  next() {
    if (this.#isDone) return Promise.resolve({ value: undefined, done: true });
    const value = this.#now();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    return this.#next();
  }

  async #next() {
    const value = await this.#wait();
    if (value !== null) return { value, done: false };
    this.#isDone = true;
    return { value: undefined, done: true };
  }

  /** The loop was left: the item in hand is not finished by that. */
  return(value) {
    this.#isDone = true;
    return Promise.resolve({ value, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

const SECRET = Symbol('made by connect');

module.exports = { Consumer };
