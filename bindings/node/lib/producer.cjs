'use strict';
// The producer: records of one turn of the event loop cross in one call, and the promises of a
// burst are resolved in one.

const args = require('./arguments.cjs');
const {
  check, closed, fromFailure, OttlaError,
} = require('./errors.cjs');
const {
  loop, producers, hold, release, onAbort, call, newKey,
} = require('./loop.cjs');
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
  #topics = new Map();
  /** Who waits for the record of a slot, and which of theirs it is. */
  #waiting = [];
  #indices = [];
  #freeSlots = [];
  #inFlight = 0;
  #isScheduled = false;
  #closing;
  #handOver = () => {
    this.#isScheduled = false;
    this.#flushPack();
  };

  /** @hidden Use `Producer.connect`. */
  constructor(secret, key, native) {
    if (secret !== SECRET) throw new TypeError('a producer is made by Producer.connect(settings)');
    this.#key = key;
    this.#native = native;
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
      const pack = new Pack();
      const sent = new SentMany(topicName, all.length, resolve, reject);
      const slots = [];
      try {
        all.forEach((record, i) => {
          const slot = this.#takeSlot(sent, i);
          slots.push(slot);
          pack.add(slot, topic, args.object(`records[${i}]`, record));
        });
      } catch (error) {
        for (const slot of slots) this.#freeSlot(slot);
        throw error;
      }
      this.#flushPack();
      check(pack.drain((fields, bytes) => this.#native.append(fields, bytes)));
      if (signal !== undefined) {
        sent.forget = onAbort(signal, () => this.#giveUp(topic, slots, sent, signal));
      }
    });
  }

  flush(options) {
    return this.#ask(() => this.#native.flush(), options);
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
    return call(() => this.#native.close(timeout), signal);
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
    check(this.#pack.drain((fields, bytes) => this.#native.append(fields, bytes)));
  }

  #takeSlot(sent, index) {
    if (this.#inFlight === 0) {
      hold();
      producers.set(this.#key, (columns) => this.#onEnded(columns));
    }
    this.#inFlight += 1;
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
    producers.delete(this.#key);
    release();
  }

  #onEnded([, slots, partitions, offsets, timestamps, failures]) {
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
  }

  /** Records that wait are not sent; of those on their way only the answer is given up. */
  #giveUp(topic, slots, sent, signal) {
    this.#flushPack();
    for (let i = slots.length - 1; i >= 0; i -= 1) {
      if (this.#waiting[slots[i]] === sent) this.#native.giveUp(topic, slots[i]);
    }
    sent.reject(signal.reason);
  }
}

const SECRET = Symbol('made by connect');

module.exports = { Producer, RecordMetadata };
