'use strict';
// Checks of arguments: each names the argument and says what was given.

const { wrongType, invalid } = require('./errors.cjs');

const INT32_MAX = 2 ** 31 - 1;
const INT64_MAX = 2n ** 63n - 1n;

function string(what, value) {
  if (typeof value !== 'string') throw wrongType(what, 'a string', value);
  return value;
}

function object(what, value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongType(what, 'an object', value);
  }
  return value;
}

function array(what, value) {
  if (typeof value === 'string' || typeof value?.[Symbol.iterator] !== 'function') {
    throw wrongType(what, 'an array', value);
  }
  return Array.from(value);
}

function strings(what, value) {
  return array(what, value).map((item, i) => string(`${what}[${i}]`, item));
}

function integer(what, value, min = -INT32_MAX - 1, max = INT32_MAX) {
  if (typeof value !== 'number') throw wrongType(what, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw invalid(`${what} must be a whole number from ${min} to ${max}, not ${value}`);
  }
  return value;
}

function offset(what, value) {
  if (typeof value !== 'bigint') throw wrongType(what, 'a bigint', value);
  if (value < 0n || value > INT64_MAX) {
    throw invalid(`${what} must be from 0 to ${INT64_MAX}, not ${value}`);
  }
  return value;
}

/** Milliseconds since 1970, from a number or a Date. */
function timestamp(what, value) {
  if (value instanceof Date) value = value.getTime();
  if (typeof value !== 'number') throw wrongType(what, 'a number or a Date', value);
  if (!Number.isSafeInteger(value)) {
    throw invalid(`${what} must be a whole number of milliseconds, not ${value}`);
  }
  return value;
}

function partition(what, value) {
  object(what, value);
  return [
    string(`${what}.topic`, value.topic),
    integer(`${what}.partition`, value.partition, 0),
  ];
}

function partitions(what, value) {
  return array(what, value).map((item, i) => partition(`${what}[${i}]`, item));
}

/** The `signal` of an options object, if any. */
function signalOf(options) {
  if (options === undefined) return undefined;
  const { signal } = object('options', options);
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw wrongType('options.signal', 'an AbortSignal', signal);
  }
  return signal;
}

function callback(what, value) {
  if (typeof value !== 'function') throw wrongType(what, 'a function', value);
  return value;
}

/** Names and values of settings for the native side; those that are undefined are left out. */
function settings(what, value) {
  object(what, value);
  const pairs = [];
  for (const [name, setting] of Object.entries(value)) {
    if (setting === undefined) continue;
    const given = typeof setting === 'bigint' ? String(setting) : setting;
    const isPlain = ['string', 'boolean', 'number'].includes(typeof given);
    if (!isPlain && !Array.isArray(given)) {
      const expected = 'a string, a number, a boolean or an array of strings';
      throw wrongType(`${what}.${name}`, expected, setting);
    }
    pairs.push([name, isPlain ? given : strings(`${what}.${name}`, given)]);
  }
  return pairs;
}

module.exports = {
  INT32_MAX, string, object, array, strings, integer, offset, timestamp, partition, partitions,
  signalOf, callback, settings,
};
