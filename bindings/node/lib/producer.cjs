'use strict';
// The producer: records of one turn of the event loop cross in one call, and the promises of a
// burst are resolved in one.

const args = require('./arguments.cjs');
const {
  check, closed, fromFailure, givenUp, invalid, OttlaError,
} = require('./errors.cjs');
const {
  loop, producers, hold, release, onAbort, call, newKey,
} = require('./loop.cjs');
const { Held } = require('./held.cjs');
const { Pack } = require('./pack.cjs');

/** Where a record was written. */
class RecordMetadata {
  constructor(topic, partition, offset, timestamp) {
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
    this.timestamp = timestamp;
  }
}

/** One record of which a promise tells. */
class Sent {
  constructor(topic, resolve, reject) {
    this.topic = topic;
    this.resolve = resolve;
    this.reject = reject;
    this.forget = undefined;
  }

  end(_, result) {
    this.forget?.();
    if (result instanceof OttlaError) this.reject(result);
    else this.resolve(result);
  }
}

/** Records of which one promise tells together. */
class SentMany {
  constructor(topic, count, resolve, reject) {
    this.topic = topic;
    this.results = new Array(count);
    this.left = count;
    this.failed = 0;
    this.resolve = resolve;
    this.reject = reject;
    this.forget = undefined;
  }

  end(index, result) {
    this.results[index] = result;
    if (result instanceof OttlaError) this.failed += 1;
    this.left -= 1;
    if (this.left > 0) return;
    this.forget?.();
    if (this.failed === 0) {
      this.resolve(this.results);
      return;
    }
    const first = this.results.find((each) => each instanceof OttlaError);
    const text = `${this.failed} of ${this.results.length} records failed, the first: `;
    const error = new first.constructor(text + first.message, first);
    error.results = this.results;
    this.reject(error);
  }
}

class Producer {
  #native;
  #key;
  #pack = new Pack();
  #held;
  #topics = new Map();
  /** Who waits for the record of a slot, and which of theirs it is. */
  #waiting = [];
  #indices = [];
  #freeSlots = [];
  #inFlight = 0;
  #isScheduled = false;
  #closing;
  #onNews = (columns) => this.#onEnded(columns);
  #handOver = () => {
    this.#isScheduled = false;
    this.#flushPack();
  };

  /** @hidden Use `Producer.connect`. */
  constructor(secret, key, native) {
    if (secret !== SECRET) throw new TypeError('a producer is made by Producer.connect(settings)');
    this.#key = key;
    this.#native = native;
    this.#held = new Held(native.maxBlockMs(), (entry) => {
      this.#endHeld(entry, fromFailure(native.late()));
    });
  }

  static async connect(settings, options) {
    const pairs = args.settings('settings', settings);
    const key = newKey();
    const start = () => loop.connectProducer(key, pairs);
    return new Producer(SECRET, key, await call(start, args.signalOf(options)));
  }

  send(record, options) {
    return new Promise((resolve, reject) => {
      const signal = this.#begin(options);
      const topic = this.#topicOf(args.object('record', record).topic);
      const sent = new Sent(record.topic, resolve, reject);
      const slot = this.#add(sent, 0, topic, record);
      if (signal !== undefined) {
        sent.forget = onAbort(signal, () => this.#giveUp(topic, [slot], sent, signal));
      }
    });
  }

  sendMany(topicName, records, options) {
    return new Promise((resolve, reject) => {
      const signal = this.#begin(options);
      const topic = this.#topicOf(topicName, 'topic');
      const all = args.array('records', records);
      if (all.length === 0) {
        resolve([]);
        return;
      }
      // Of records that cannot be packed none is sent.
      all.forEach((record, i) => Pack.check(args.object(`records[${i}]`, record)));
      const sent = new SentMany(topicName, all.length, resolve, reject);
      const slots = all.map((record, i) => this.#add(sent, i, topic, record));
      if (signal !== undefined) {
        sent.forget = onAbort(signal, () => this.#giveUp(topic, slots, sent, signal));
      }
    });
  }

  async flush(options) {
    const signal = this.#begin(options);
    this.#flushPack();
    await this.#handedOver(signal);
    return call(() => this.#native.flush(), signal);
  }

  partitionCount(topic, options) {
    const start = () => this.#native.partitionCount(args.string('topic', topic));
    return this.#ask(start, options);
  }

  get memoryUsed() {
    this.#flushPack();
    return this.#native.memoryUsed();
  }

  close(options) {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async #close(options) {
    const signal = args.signalOf(options);
    const timeout = options?.timeoutMs;
    if (timeout !== undefined) args.integer('options.timeoutMs', timeout, 0);
    this.#flushPack();
    const began = performance.now();
    await this.#handedOver(signal, timeout);
    for (const entry of this.#held.takeAll()) this.#endHeld(entry, closed('producer'));
    const left = timeout && Math.max(timeout - (performance.now() - began), 0);
    return call(() => this.#native.close(left), signal);
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }

  async #ask(start, options) {
    const signal = args.signalOf(options);
    if (this.#closing) throw closed('producer');
    this.#flushPack();
    return call(start, signal);
  }

  #begin(options) {
    if (this.#closing) throw closed('producer');
    if (options === undefined) return undefined;
    const signal = args.signalOf(options);
    signal?.throwIfAborted();
    return signal;
  }

  #topicOf(name, what = 'record.topic') {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    this.#native.addTopic(args.string(what, name));
    this.#topics.set(name, this.#topics.size);
    return this.#topics.size - 1;
  }

  #add(sent, index, topic, record) {
    const slot = this.#takeSlot(sent, index);
    try {
      if (this.#held.isHeld(topic)) {
        Pack.check(record);
        this.#held.add(slot, topic, record);
        return slot;
      }
      this.#pack.add(slot, topic, record);
    } catch (error) {
      this.#freeSlot(slot);
      throw error;
    }
    if (this.#pack.isFull) {
      this.#flushPack();
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      queueMicrotask(this.#handOver);
    }
    return slot;
  }

  #flushPack() {
    if (this.#pack.fieldCount === 0) return;
    const full = this.#pack.drain((fields, bytes) => this.#native.append(fields, bytes));
    if (!Array.isArray(full)) check(full);
    else for (const topic of full) this.#held.hold(topic);
  }

  /** Records of a topic that were held back are handed over, as many as are taken. */
  #feed(topic) {
    const take = (entry, waitedMs) => {
      try {
        this.#pack.add(entry.slot, topic, entry.record, waitedMs);
      } catch (error) {
        // It was right when it was sent, and was changed since.
        this.#endHeld(entry, error instanceof OttlaError ? error : invalid(error.message));
      }
      if (this.#pack.isFull) this.#flushPack();
    };
    this.#held.feed(topic, take, () => this.#flushPack());
    this.#listen();
  }

  #endHeld({ slot }, error) {
    const sent = this.#waiting[slot];
    const index = this.#indices[slot];
    this.#freeSlot(slot);
    sent.end(index, error);
  }

  /** Ends when no record that was sent before is held back any more, or after so long. */
  async #handedOver(signal, timeoutMs) {
    if (this.#held.count === 0) return;
    let timer;
    let forget;
    const ends = [this.#held.emptied()];
    ends.push(new Promise((resolve, reject) => {
      forget = onAbort(signal, () => reject(signal.reason));
      if (timeoutMs !== undefined) timer = setTimeout(resolve, timeoutMs);
    }));
    try {
      await Promise.race(ends);
    } finally {
      forget?.();
      clearTimeout(timer);
    }
  }

  #takeSlot(sent, index) {
    this.#inFlight += 1;
    if (this.#inFlight === 1) {
      hold();
      this.#listen();
    }
    const slot = this.#freeSlots.pop() ?? this.#waiting.length;
    this.#waiting[slot] = sent;
    this.#indices[slot] = index;
    return slot;
  }

  #freeSlot(slot) {
    this.#waiting[slot] = undefined;
    this.#freeSlots.push(slot);
    this.#inFlight -= 1;
    if (this.#inFlight > 0) return;
    this.#listen();
    release();
  }

  /** Is told of news while there may be some. */
  #listen() {
    if (this.#inFlight === 0 && !this.#held.hasTopics) producers.delete(this.#key);
    else producers.set(this.#key, this.#onNews);
  }

  #onEnded([, slots, partitions, offsets, timestamps, failures, topics]) {
    for (let i = 0; i < slots.length; i += 1) {
      const slot = slots[i];
      const sent = this.#waiting[slot];
      const index = this.#indices[slot];
      this.#freeSlot(slot);
      sent.end(index, new RecordMetadata(sent.topic, partitions[i], offsets[i], timestamps[i]));
    }
    for (let i = 0; i < failures.length; i += 2) {
      const sent = this.#waiting[failures[i]];
      const index = this.#indices[failures[i]];
      this.#freeSlot(failures[i]);
      sent.end(index, fromFailure(failures[i + 1]));
    }
    for (const topic of topics) this.#feed(topic);
  }

  /** Records that wait are not sent; of those on their way only the answer is given up. */
  #giveUp(topic, slots, sent, signal) {
    this.#flushPack();
    sent.reject(signal.reason);
    for (let i = slots.length - 1; i >= 0; i -= 1) {
      const slot = slots[i];
      if (this.#waiting[slot] !== sent) continue;
      if (this.#held.giveUp(slot)) this.#endHeld({ slot }, givenUp());
      else this.#native.giveUp(topic, slot);
    }
  }
}

const SECRET = Symbol('made by connect');

module.exports = { Producer, RecordMetadata };
