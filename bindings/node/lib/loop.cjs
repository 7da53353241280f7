'use strict';
// The JavaScript side of the completion queue: promises of calls, and who is told of what.
// One per environment: each worker thread loads its own.

const native = require('./native.cjs');
const { fromFailure } = require('./errors.cjs');

/** Calls that have not ended: number to `{ resolve, reject, forget }`. */
const calls = new Map();
/** Producers with records on their way: key to `(ended columns) => void`. */
const producers = new Map();
/** Consumers that listen to rebalances: key to listener. */
const listeners = new Map();

let held = 0;
let nextKey = 1;

const loop = new native.Loop(onWake);

/** Keeps the process alive until as many `release`. */
function hold() {
  if (held === 0) loop.hold();
  held += 1;
}

function release() {
  held -= 1;
  if (held === 0) loop.release();
}

function onWake() {
  const [ended, deliveries, rebalances] = loop.drain();
  for (let i = 0; i < ended.length; i += 3) {
    const call = calls.get(ended[i]);
    calls.delete(ended[i]);
    release();
    call.forget?.();
    if (ended[i + 1]) call.resolve(ended[i + 2]);
    else call.reject(fromFailure(ended[i + 2]));
  }
  for (const columns of deliveries) producers.get(columns[0])?.(columns);
  for (const [key, event] of rebalances) tellRebalance(key, event);
}

/** A listener that throws must not keep others from being told. */
function tellRebalance(key, event) {
  const listener = listeners.get(key);
  if (listener) queueMicrotask(() => listener(event));
}

/** What to run when a signal aborts: a set per signal, so that thousands of records need one. */
const aborts = new WeakMap();

/** Runs `abort` when the signal aborts, until the function that this answers is called. */
function onAbort(signal, abort) {
  if (signal === undefined) return undefined;
  let all = aborts.get(signal);
  if (all === undefined) {
    all = { acts: new Set(), run: () => { for (const act of all.acts) act(); } };
    aborts.set(signal, all);
  }
  if (all.acts.size === 0) signal.addEventListener('abort', all.run, { once: true });
  all.acts.add(abort);
  return () => {
    all.acts.delete(abort);
    if (all.acts.size === 0) signal.removeEventListener('abort', all.run);
  };
}

/**
 * The promise of a call: `started` is its number, or a failure that kept it from starting. When
 * the signal aborts, the promise is rejected with its reason and the core drops the call.
 */
function promised(started, signal) {
  if (typeof started !== 'number') return Promise.reject(fromFailure(started));
  hold();
  return new Promise((resolve, reject) => {
    const forget = onAbort(signal, () => {
      loop.cancel(started);
      reject(signal.reason);
    });
    calls.set(started, { resolve, reject, forget });
  });
}

/** A call that is not started if the signal has aborted already. */
async function call(start, signal) {
  signal?.throwIfAborted();
  return promised(start(), signal);
}

module.exports = {
  loop, producers, listeners, hold, release, onAbort, promised, call,
  newKey: () => nextKey++,
};
