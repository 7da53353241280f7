'use strict';
// The broker's process: it lives as long as its standard input is open.

const { spawn } = require('node:child_process');
const {
  closeSync, fstatSync, ftruncateSync, openSync, readSync, unlinkSync,
} = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { randomInt, randomUUID } = require('node:crypto');

const { BrokerError } = require('./errors.cjs');

/**
 * Below the ports that the system gives to outgoing connections: a client that tries to reconnect
 * while its broker is down would else, now and then, take the broker's port itself.
 */
const PORTS = [10240, 32768];
/** How many ports are tried before there is no free one. */
const PORT_TRIES = 50;
/** How long a start or an end may take, in ms. */
const PATIENCE = 30_000;
/** How much of the log an error shows, in characters. */
const LOG_SHOWN = 4096;

/** A log in a file without a name: nothing of it stays. */
class Log {
  constructor() {
    const path = join(tmpdir(), `ottla-broker-log-${randomUUID()}`);
    this.fd = openSync(path, 'a+');
    unlinkSync(path);
  }

  get size() {
    return fstatSync(this.fd).size;
  }

  truncate(size) {
    ftruncateSync(this.fd, size);
  }

  read() {
    const bytes = Buffer.alloc(this.size);
    return bytes.toString('utf8', 0, readSync(this.fd, bytes, 0, bytes.length, 0));
  }

  /** The end of it, to be put behind an error's text. */
  lastWords() {
    const text = this.read().slice(-LOG_SHOWN).trim();
    return text === '' ? ' and said nothing' : `: ${text}`;
  }

  close() {
    closeSync(this.fd);
  }
}

/** A running `ottla-broker dev`. It does not keep this process alive. */
class Process {
  #child;
  #log;
  #ended;

  constructor(binary, args, log) {
    this.#log = log;
    // Detached: Ctrl-C is for the test; the broker ends with it.
    this.#child = spawn(binary, args, { stdio: ['pipe', 'pipe', log.fd], detached: true });
    this.#child.stdin.on('error', () => {});
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', resolve);
      this.#child.once('error', resolve);
    });
  }

  /** Starts a broker; resolves with it when it serves. */
  static async start(binary, args, log) {
    const started = new Process(binary, args, log);
    try {
      started.faultsPort = await started.#ready();
    } catch (error) {
      await started.kill();
      throw error;
    }
    return started;
  }

  get pid() {
    return this.#child.pid;
  }

  get isRunning() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** SIGKILL. */
  kill() {
    this.#child.kill('SIGKILL');
    return this.wait();
  }

  /** Closes the standard input: a broker with a temporary folder removes it. */
  end() {
    this.#child.stdin.end();
    return this.wait();
  }

  /** Waits until it has ended. */
  async wait() {
    if (!this.isRunning || this.#child.pid === undefined) return;
    this.#child.ref();
    const late = new BrokerError(`ottla-broker did not end in ${PATIENCE} ms`);
    await before(PATIENCE, this.#ended, () => {
      this.#child.kill('SIGKILL');
      throw late;
    });
  }

  /** Waits for the two lines of a broker that serves; the port for faults is in the second. */
  async #ready() {
    const { stdout } = this.#child;
    let text = '';
    const lines = new Promise((resolve) => {
      stdout.setEncoding('utf8').on('data', (piece) => {
        text += piece;
        if (text.split('\n').length > 2) resolve();
      });
    });
    let cause;
    this.#child.once('error', (error) => {
      cause = error;
    });
    await before(PATIENCE, Promise.race([lines, this.#ended]), () => {
      throw new BrokerError(`ottla-broker was not ready in ${PATIENCE} ms${this.#log.lastWords()}`);
    });
    const second = text.split('\n')[1];
    if (!second) {
      const why = cause === undefined ? this.#log.lastWords() : `: ${cause.message}`;
      throw new BrokerError(`ottla-broker did not start${why}`, { cause });
    }
    this.#child.unref();
    this.#child.stdin.unref();
    stdout.unref();
    return Number(second.slice(second.lastIndexOf(':') + 1));
  }
}

/**
 * Removes a folder at the end of this process, however it ends, while no broker is there that
 * would. Where there is no shell, nobody does.
 */
class Keeper {
  #child;

  constructor(folder) {
    if (process.platform === 'win32') return;
    // Nobody writes: what it reads is the end of this process.
    const script = 'read -r nothing; rm -rf -- "$0"';
    const stdio = ['pipe', 'ignore', 'ignore'];
    this.#child = spawn('sh', ['-c', script, folder], { stdio, detached: true });
    this.#child.on('error', () => {});
    this.#child.stdin.on('error', () => {});
    this.#child.unref();
    this.#child.stdin.unref();
  }

  /** Leaves the folder to others. */
  dismiss() {
    this.#child?.kill('SIGKILL');
  }
}

/** Waits for a promise so long, then does something else. */
async function before(ms, promise, otherwise) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms, before);
  });
  try {
    if (await Promise.race([promise, late]) === before) otherwise();
  } finally {
    clearTimeout(timer);
  }
}

/** Starts a broker on a port that nobody has. */
async function startOnFreePort(binary, args, log) {
  for (let tries = 0; tries < PORT_TRIES; tries += 1) {
    const port = randomInt(...PORTS);
    const { size } = log;
    try {
      return { port, process: await Process.start(binary, [...args, '--port', `${port}`], log) };
    } catch (error) {
      if (!error.message.includes('in use')) throw error;
      log.truncate(size);
    }
  }
  throw new BrokerError(`no free port from ${PORTS[0]} to ${PORTS[1] - 1} was found`);
}

module.exports = {
  Keeper, Log, Process, startOnFreePort,
};
