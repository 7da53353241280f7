'use strict';
// The admin client: arrays of answers, each with its own `error`; the singular forms throw it.

const args = require('./arguments.cjs');
const { closed, fromFailure, invalid } = require('./errors.cjs');
const { loop, call } = require('./loop.cjs');

const OPERATIONS = ['set', 'delete', 'append', 'subtract'];
const SPECS = ['earliest', 'latest', 'max-timestamp'];

/** Answers with errors as errors. */
function withErrors(answers) {
  for (const answer of answers) {
    answer.error = answer.error === null ? null : fromFailure(answer.error);
  }
  return answers;
}

/** The only answer. */
function only(answers) {
  const [{ error, ...answer }] = answers;
  if (error !== null) throw error;
  return answer;
}

function newTopic(what, topic) {
  if (typeof topic === 'string') return [topic, -1, -1, [], []];
  const { name, partitions, replicationFactor, assignments, configs } = args.object(what, topic);
  const replicas = assignments === undefined ? [] : args.array(`${what}.assignments`, assignments);
  return [
    args.string(`${what}.name`, name),
    partitions === undefined ? -1 : args.integer(`${what}.partitions`, partitions, -1),
    replicationFactor === undefined
      ? -1 : args.integer(`${what}.replicationFactor`, replicationFactor, -1, 32767),
    replicas.map((nodes, i) => {
      const each = `${what}.assignments[${i}]`;
      return args.array(each, nodes).map((node, j) => args.integer(`${each}[${j}]`, node, 0));
    }),
    configs === undefined ? [] : args.settings(`${what}.configs`, configs)
      .map(([setting, value]) => [setting, String(value)]),
  ];
}

function resource(what, given) {
  const { type, name } = args.object(what, given);
  if (args.string(`${what}.type`, type) === 'topic') {
    return [type, args.string(`${what}.name`, name)];
  }
  if (type !== 'broker') {
    throw invalid(`${what}.type must be "topic" or "broker", not "${type}"`);
  }
  const node = typeof name === 'number' ? String(name) : args.string(`${what}.name`, name);
  args.integer(`${what}.name`, Number(node), 0);
  return [type, node];
}

function change(what, given) {
  const { operation = 'set', name, value } = args.object(what, given);
  if (!OPERATIONS.includes(operation)) {
    const known = OPERATIONS.join(', ');
    throw invalid(`${what}.operation must be one of ${known}, not ${String(operation)}`);
  }
  const isDelete = operation === 'delete';
  return [
    operation,
    args.string(`${what}.name`, name),
    isDelete ? '' : String(value),
  ];
}

function offsetSpec(what, given) {
  const { spec = 'latest' } = given;
  if (SPECS.includes(spec)) return spec;
  if (typeof spec !== 'string') return args.timestamp(`${what}.spec`, spec);
  throw invalid(`${what}.spec must be a time or one of ${SPECS.join(', ')}, not "${spec}"`);
}

class Admin {
  #native;
  #closing;

  /** @hidden Use `Admin.connect`. */
  constructor(secret, native) {
    if (secret !== SECRET) throw new TypeError('a client is made by Admin.connect(settings)');
    this.#native = native;
  }

  static async connect(settings, options) {
    const pairs = args.settings('settings', settings);
    const start = () => loop.connectAdmin(pairs);
    return new Admin(SECRET, await call(start, args.signalOf(options)));
  }

  async #ask(start, options) {
    const signal = args.signalOf(options);
    if (this.#closing) throw closed('admin client');
    return call(start, signal);
  }

  async createTopic(topic, options) {
    const topics = [newTopic('topic', topic)];
    const validateOnly = options?.validateOnly === true;
    const start = () => this.#native.createTopics(topics, validateOnly);
    return only(withErrors(await this.#ask(start, options)));
  }

  async createTopics(topics, options) {
    const all = args.array('topics', topics).map((each, i) => newTopic(`topics[${i}]`, each));
    const validateOnly = options?.validateOnly === true;
    const start = () => this.#native.createTopics(all, validateOnly);
    return withErrors(await this.#ask(start, options));
  }

  async deleteTopic(topic, options) {
    only(await this.deleteTopics([args.string('topic', topic)], options));
  }

  async deleteTopics(topics, options) {
    const names = args.strings('topics', topics);
    return withErrors(await this.#ask(() => this.#native.deleteTopics(names), options));
  }

  async createPartitions(topics, options) {
    const counts = args.array('topics', topics).map((each, i) => {
      const { name, partitions } = args.object(`topics[${i}]`, each);
      return [
        args.string(`topics[${i}].name`, name),
        args.integer(`topics[${i}].partitions`, partitions, 1),
      ];
    });
    return withErrors(await this.#ask(() => this.#native.createPartitions(counts), options));
  }

  async listTopics(options) {
    return this.#ask(() => this.#native.listTopics(), options);
  }

  async describeTopics(topics, options) {
    const names = args.strings('topics', topics);
    return withErrors(await this.#ask(() => this.#native.describeTopics(names), options));
  }

  async describeCluster(options) {
    return this.#ask(() => this.#native.describeCluster(), options);
  }

  async describeConfigs(resources, options) {
    const all = args.array('resources', resources)
      .map((each, i) => resource(`resources[${i}]`, each));
    return withErrors(await this.#ask(() => this.#native.describeConfigs(all), options));
  }

  async alterConfigs(resources, options) {
    const all = args.array('resources', resources).map((each, i) => {
      const what = `resources[${i}]`;
      const named = resource(what, each);
      const changes = args.array(`${what}.changes`, each.changes);
      return [...named, changes.map((one, j) => change(`${what}.changes[${j}]`, one))];
    });
    return withErrors(await this.#ask(() => this.#native.alterConfigs(all), options));
  }

  async listGroups(options) {
    return this.#ask(() => this.#native.listGroups(), options);
  }

  async describeGroups(groups, options) {
    const ids = args.strings('groups', groups);
    return withErrors(await this.#ask(() => this.#native.describeGroups(ids), options));
  }

  async deleteGroups(groups, options) {
    const ids = args.strings('groups', groups);
    return withErrors(await this.#ask(() => this.#native.deleteGroups(ids), options));
  }

  async listOffsets(partitions, options) {
    const specs = args.array('partitions', partitions).map((each, i) => {
      const what = `partitions[${i}]`;
      return [...args.partition(what, each), offsetSpec(what, each)];
    });
    return withErrors(await this.#ask(() => this.#native.listOffsets(specs), options));
  }

  async listConsumerGroupOffsets(group, options) {
    const id = args.string('group', group);
    return this.#ask(() => this.#native.listConsumerGroupOffsets(id), options);
  }

  close(options) {
    this.#closing ??= (async () => call(() => this.#native.close(), args.signalOf(options)))();
    return this.#closing;
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }
}

const SECRET = Symbol('made by connect');

module.exports = { Admin };
