'use strict';
// The broker of a test. index.d.ts says what its methods do.

const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

const { findBinary } = require('./binary.cjs');
const { BrokerError } = require('./errors.cjs');
const { Port } = require('./port.cjs');
const {
  Keeper, Log, Process, startOnFreePort,
} = require('./process.cjs');

const OPTIONS = ['config', 'dataDir', 'binary'];

class Broker {
  #options;
  #dataDir;
  #log;
  #oldLog = '';
  #port;
  #process;
  #keeper;
  #faults;

  static async start(options = {}) {
    const stray = Object.keys(options).find((name) => !OPTIONS.includes(name));
    if (stray !== undefined) {
      throw new TypeError(`unknown option "${stray}": known are ${OPTIONS.join(', ')}`);
    }
    const broker = new Broker(options);
    await broker.start();
    return broker;
  }

  constructor(options = {}) {
    this.#options = options;
    this.#dataDir = options.dataDir;
  }

  async start() {
    if (this.isRunning) return;
    await this.kill();
    const binary = findBinary(this.#options.binary);
    this.#log ??= new Log();
    this.#dataDir ??= mkdtempSync(join(tmpdir(), 'ottla-testing-'));
    try {
      if (this.#port === undefined) {
        const started = await startOnFreePort(binary, this.#arguments(), this.#log);
        this.#process = started.process;
        this.#port = started.port;
      } else {
        const args = [...this.#arguments(), '--port', `${this.#port}`];
        this.#process = await Process.start(binary, args, this.#log);
      }
      this.#dismissKeeper();
      this.#faults = await Port.open(this.#process.faultsPort);
    } catch (error) {
      if (this.#port === undefined) await this.close();
      throw error;
    }
  }

  async close() {
    const process = this.#forget();
    try {
      await process?.end();
    } finally {
      this.#oldLog = this.log();
      this.#log?.close();
      this.#log = undefined;
      this.#port = undefined;
      if (this.#options.dataDir === undefined && this.#dataDir !== undefined) {
        // A broker that was killed has left it.
        rmSync(this.#dataDir, { recursive: true, force: true });
        this.#dataDir = undefined;
      }
      this.#dismissKeeper();
    }
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }

  get bootstrapServers() {
    return `127.0.0.1:${this.port}`;
  }

  get port() {
    if (this.#port === undefined) throw new BrokerError('the broker was not started: call start()');
    return this.#port;
  }

  get dataDir() {
    if (this.#dataDir === undefined) {
      throw new BrokerError('the broker has no folder before it is started');
    }
    return this.#dataDir;
  }

  get pid() {
    return this.#running().pid;
  }

  get isRunning() {
    return this.#process?.isRunning ?? false;
  }

  async kill() {
    const process = this.#forget();
    if (process !== undefined) this.#keepFolder();
    await process?.kill();
  }

  async stop() {
    if (this.isRunning) {
      this.#keepFolder();
      await this.#call('stop');
    }
    await this.#forget()?.wait();
  }

  async restart() {
    if (this.#port === undefined) {
      throw new BrokerError('the broker was not started, there is nothing to restart');
    }
    await this.stop();
    await this.start();
  }

  async pause() {
    await this.#call('pause');
  }

  async resume() {
    await this.#call('resume');
  }

  async inject(fault) {
    return (await this.#call('inject', fault)).id;
  }

  async delay(fault) {
    return (await this.#call('delay', fault)).id;
  }

  async dropConnections(fault = {}) {
    return (await this.#call('drop', fault)).id;
  }

  async throttle(fault) {
    return (await this.#call('throttle', fault)).id;
  }

  async faults() {
    const { faults } = await this.#call('faults');
    return faults.map(({ id, command, api, applied, left, ...rest }) => {
      const fields = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
      return { id, command, api, applied, left, fields };
    });
  }

  async clearFaults(id) {
    return (await this.#call('clear', { id })).cleared;
  }

  async requests() {
    return (await this.#call('requests')).requests;
  }

  async requestCount(api, version) {
    const count = (await this.requests())[api];
    return (version === undefined ? count?.total : count?.versions[version]) ?? 0;
  }

  log() {
    return this.#log?.read() ?? this.#oldLog;
  }

  #arguments() {
    const args = ['dev', '--data-dir', this.#dataDir, '--until-stdin-closes', '--chaos'];
    if (this.#options.dataDir === undefined) args.push('--temporary');
    for (const [name, value] of Object.entries(this.#options.config ?? {})) {
      args.push('--set', `${name}=${value}`);
    }
    return args;
  }

  async #call(command, fields) {
    this.#running();
    return this.#faults.call(command, fields);
  }

  #running() {
    if (this.#process === undefined) {
      throw new BrokerError('the broker does not run: call start() or restart()');
    }
    if (!this.#process.isRunning) {
      throw new BrokerError(`the broker has ended by itself${this.#log.lastWords()}`);
    }
    return this.#process;
  }

  /** From now on the broker does not remove its folder. */
  #keepFolder() {
    if (this.#options.dataDir === undefined) this.#keeper ??= new Keeper(this.#dataDir);
  }

  #dismissKeeper() {
    this.#keeper?.dismiss();
    this.#keeper = undefined;
  }

  /** The process, if there is one, which is no longer this broker's. */
  #forget() {
    const process = this.#process;
    this.#faults?.close();
    this.#faults = undefined;
    this.#process = undefined;
    return process;
  }
}

module.exports = { Broker };
