'use strict';
// One tree of errors, the same classes and codes as in every language.

/** What every error of this package is. */
class OttlaError extends Error {
  constructor(message, { code, retriable, fatal, possiblyWritten } = {}) {
    super(message);
    this.code = code ?? 'ERROR';
    this.retriable = retriable ?? false;
    this.fatal = fatal ?? false;
    this.possiblyWritten = possiblyWritten ?? false;
  }
}
Object.defineProperty(OttlaError.prototype, 'name', {
  value: 'OttlaError', configurable: true, writable: true,
});

const stems = [
  'Config', 'ArgumentType', 'Unreachable', 'Timeout', 'NotFound', 'Invalid', 'Authentication',
  'Authorization', 'Fenced', 'Rebalance', 'OffsetOutOfRange', 'Broker', 'Unsupported', 'Protocol',
  'Full', 'Closed', 'Cancelled',
];

/** The classes by their stems: `byStem.Timeout` is `TimeoutError`. */
const byStem = {};
for (const stem of stems) {
  const name = `${stem}Error`;
  byStem[stem] = { [name]: class extends OttlaError {} }[name];
  Object.defineProperty(byStem[stem].prototype, 'name', {
    value: name, configurable: true, writable: true,
  });
}

/** An error from what the native module tells. */
function fromFailure(failure) {
  const Class = byStem[failure.class] ?? OttlaError;
  return new Class(failure.message, failure);
}

/** Throws a failure that a native call answered instead of waiting. */
function check(failure) {
  if (failure !== null && failure !== undefined) throw fromFailure(failure);
}

/** A type in words for messages. */
function typeName(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value !== 'object') return typeof value;
  return value.constructor?.name ?? 'an object';
}

/** The error for an argument of the wrong type. */
function wrongType(what, expected, got) {
  const text = `${what} must be ${expected}, not ${typeName(got)}`;
  return new byStem.ArgumentType(text, { code: 'ARGUMENT_TYPE' });
}

/** The error for an argument that can never be accepted. */
function invalid(message) {
  return new byStem.Invalid(message, { code: 'INVALID' });
}

/** The error of a client that was closed. */
function closed(what) {
  const message = `the ${what} is closed: make a new one`;
  return new byStem.Closed(message, { code: 'CLOSED', fatal: true });
}

/** The error of a record that was given up before it was sent. */
function givenUp() {
  const message = 'the record was given up before it was sent';
  return new byStem.Cancelled(message, { code: 'CANCELLED' });
}

const classes = Object.fromEntries(stems.map((stem) => [`${stem}Error`, byStem[stem]]));

module.exports = {
  OttlaError, classes, fromFailure, check, wrongType, invalid, closed, givenUp,
};
