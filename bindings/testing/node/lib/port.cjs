'use strict';
// The broker's port for faults: JSON objects, one a line, each answered by one line.

const { connect } = require('node:net');

const { BrokerError, FaultError } = require('./errors.cjs');

/** How long an answer may take, in ms: the broker is beside us, even if it is paused. */
const PATIENCE = 10_000;

/** A connection to the port. It keeps the process alive only while an answer is awaited. */
class Port {
  #socket;
  #text = '';
  #waiting = [];
  #closed;

  /** Resolves when it is connected. */
  static open(port) {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port });
      const failed = (cause) => {
        const text = `the port for faults cannot be reached: ${cause.message}`;
        reject(new BrokerError(text, { cause }));
      };
      socket.once('error', failed);
      socket.once('connect', () => {
        socket.off('error', failed);
        resolve(new Port(socket));
      });
    });
  }

  constructor(socket) {
    this.#socket = socket;
    socket.setEncoding('utf8').setNoDelay(true).unref();
    socket.on('data', (text) => this.#read(text));
    socket.on('error', (cause) => this.#end(cause));
    socket.on('close', () => this.#end(new Error('the connection was closed')));
  }

  /**
   * Sends a command and resolves with its answer; null and undefined count as left away. Rejects
   * with FaultError and the broker's words when it refuses, with BrokerError when it does not
   * answer.
   */
  call(command, fields = {}) {
    return new Promise((resolve, reject) => {
      const fail = (cause) => {
        const text = `the broker does not answer ${command} on its port for faults`;
        reject(new BrokerError(`${text}: ${cause.message}`, { cause }));
      };
      if (this.#closed !== undefined) {
        fail(this.#closed);
        return;
      }
      const late = () => this.#end(new Error(`nothing for ${PATIENCE} ms`));
      this.#waiting.push({ resolve, reject, fail, timer: setTimeout(late, PATIENCE) });
      this.#socket.ref();
      this.#socket.write(`${JSON.stringify({ command, ...fields })}\n`);
    });
  }

  /** Ends the connection; the faults stay. */
  close() {
    this.#end(new Error('the broker was stopped'));
  }

  #read(text) {
    const lines = (this.#text + text).split('\n');
    this.#text = lines.pop();
    for (const line of lines) {
      const { resolve, reject, timer } = this.#waiting.shift();
      clearTimeout(timer);
      const answer = JSON.parse(line);
      if (answer.ok) resolve(answer);
      else reject(new FaultError(answer.error));
    }
    if (this.#waiting.length === 0) this.#socket.unref();
  }

  #end(cause) {
    this.#closed ??= cause;
    this.#socket.destroy();
    for (const { fail, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      fail(cause);
    }
  }
}

module.exports = { Port };
