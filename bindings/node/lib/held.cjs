'use strict';
// Records that wait in JavaScript, by topic: the native side waits with 128 KiB of a topic's, and
// what is sent beyond that stays what it is, the caller's own objects, until those have gone.

/** The longest time that a timer takes. */
const LONGEST_MS = 2 ** 31 - 1;
/** So many entries are taken off the front of a queue before it is moved together. */
const GAP = 1024;

/** The records of one topic, in order. */
class Queue {
  /** Whether the native side takes no more for now. */
  isFull = true;
  #entries = [];
  #first = 0;

  push(entry) {
    this.#entries.push(entry);
  }

  /** The oldest that was not given up. */
  get first() {
    while (this.#entries[this.#first]?.isGone) this.shift();
    return this.#entries[this.#first];
  }

  shift() {
    this.#entries[this.#first] = undefined;
    this.#first += 1;
    if (this.#first < GAP || 2 * this.#first < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#first);
    this.#first = 0;
  }
}

class Held {
  #queues = new Map();
  #bySlot = new Map();
  #entered = 0;
  /** Who waits until those that came before have gone: how many of them are left. */
  #leavers = [];
  #maxBlockMs;
  #onLate;
  #timer;

  /** A record that waits longer than `maxBlockMs` is given to `onLate`. */
  constructor(maxBlockMs, onLate) {
    this.#maxBlockMs = maxBlockMs;
    this.#onLate = onLate;
  }

  /** How many records wait here. */
  get count() {
    return this.#bySlot.size;
  }

  /** Whether there is a topic of which the native side takes no more. */
  get hasTopics() {
    return this.#queues.size > 0;
  }

  /** Whether records of a topic are to be added here. */
  isHeld(topic) {
    return this.#queues.size > 0 && this.#queues.has(topic);
  }

  /** The native side takes no more of a topic until it says so. */
  hold(topic) {
    const queue = this.#queues.get(topic);
    if (queue === undefined) this.#queues.set(topic, new Queue());
    else queue.isFull = true;
  }

  /** Its bytes are not copied: whoever sent it changes nothing until its promise has ended. */
  add(slot, topic, { partition, timestamp, key, value, headers }) {
    const record = { partition, timestamp, key, value, headers };
    const entry = {
      slot, topic, record, entered: performance.now(), number: this.#entered, isGone: false,
    };
    this.#entered += 1;
    this.#queues.get(topic).push(entry);
    this.#bySlot.set(slot, entry);
    if (this.#timer === undefined) this.#watch();
  }

  /** Takes a record out; answers whether it was here. */
  giveUp(slot) {
    const entry = this.#bySlot.get(slot);
    if (entry !== undefined) this.#leave(entry);
    return entry !== undefined;
  }

  /** The native side takes records of a topic again: gives them to `take` until it is full. */
  feed(topic, take, flush) {
    const queue = this.#queues.get(topic);
    if (queue === undefined) return;
    queue.isFull = false;
    while (!queue.isFull && queue.first !== undefined) {
      const entry = queue.first;
      queue.shift();
      this.#leave(entry);
      take(entry, performance.now() - entry.entered);
    }
    flush();
    if (!queue.isFull) this.#queues.delete(topic);
  }

  /** Ends when all that are here now have gone. */
  async emptied() {
    if (this.count === 0) return;
    await new Promise((resolve) => {
      this.#leavers.push({ until: this.#entered, left: this.count, resolve });
    });
  }

  /** Takes all out. */
  takeAll() {
    const all = [...this.#bySlot.values()];
    for (const entry of all) this.#leave(entry);
    return all;
  }

  #leave(entry) {
    entry.isGone = true;
    this.#bySlot.delete(entry.slot);
    for (const each of this.#leavers) {
      if (entry.number < each.until) each.left -= 1;
      if (each.left === 0) each.resolve();
    }
    this.#leavers = this.#leavers.filter((each) => each.left > 0);
    if (this.count > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #watch() {
    let oldest = Infinity;
    for (const queue of this.#queues.values()) {
      oldest = Math.min(oldest, queue.first?.entered ?? Infinity);
    }
    if (oldest === Infinity) return;
    const left = oldest + this.#maxBlockMs - performance.now();
    const wait = Math.min(Math.max(Math.ceil(left), 1), LONGEST_MS);
    this.#timer = setTimeout(() => this.#expire(), wait);
  }

  #expire() {
    this.#timer = undefined;
    const until = performance.now() - this.#maxBlockMs;
    for (const queue of this.#queues.values()) {
      while (queue.first !== undefined && queue.first.entered <= until) {
        const entry = queue.first;
        queue.shift();
        this.#leave(entry);
        this.#onLate(entry);
      }
    }
    this.#watch();
  }
}

module.exports = { Held };
