// The types of the package `ottla-testing`: a Kafka broker inside of a test, that fails when it is
// told to. Written by hand and held to the code by test/types.ts.

/** The APIs that the broker serves, by Kafka's names. */
export type Api =
  | 'Produce' | 'Fetch' | 'ListOffsets' | 'Metadata' | 'OffsetCommit' | 'OffsetFetch'
  | 'FindCoordinator' | 'JoinGroup' | 'Heartbeat' | 'LeaveGroup' | 'SyncGroup' | 'DescribeGroups'
  | 'ListGroups' | 'SaslHandshake' | 'ApiVersions' | 'CreateTopics' | 'DeleteTopics'
  | 'DeleteRecords' | 'InitProducerId' | 'OffsetForLeaderEpoch' | 'DescribeConfigs'
  | 'SaslAuthenticate' | 'CreatePartitions' | 'DeleteGroups' | 'IncrementalAlterConfigs'
  | 'DescribeCluster';

/** What a broker is started with. */
export interface BrokerOptions {
  /** Kafka's broker properties, such as `{ 'num.partitions': 3 }`, over `ottla-broker dev`. */
  config?: Readonly<Record<string, string | number | bigint | boolean>>;
  /** A folder that stays; by default a new one, removed at the end. */
  dataDir?: string;
  /** The program, instead of the package's own. */
  binary?: string;
}

/** Which requests a fault fits, and which of their entries. */
export interface Choice {
  /** All when left away. */
  api?: Api;
  /** For so many requests; until it is cleared when left away. */
  times?: number;
  /** Only for this topic; the other topics of a request are served. */
  topic?: string;
  /** Only for this partition. */
  partition?: number;
  /** Only for this group. */
  group?: string;
}

/** An error as the answer. */
export interface InjectedError extends Choice {
  api: Api;
  /** Kafka's name, such as `NOT_LEADER_OR_FOLLOWER`. */
  error: string;
  /**
   * Serve the request, and then answer with the error: a record is written, and its producer is
   * told that it is not.
   */
  after?: boolean;
}

/** A delay of requests. */
export interface Delay extends Choice {
  /** So many milliseconds. */
  ms: number;
  /** Serve the request, and hold its answer back. */
  after?: boolean;
}

/** A connection that ends without an answer. */
export interface Drop extends Choice {
  /** Before the request is served (the default) or after. */
  when?: 'before' | 'after';
  /** After so many bytes of the answer, instead of `when`. */
  bytes?: number;
}

/** An answer by which a client is asked to hold back. */
export interface Throttle extends Choice {
  /** Its `throttle_time_ms`. */
  ms: number;
}

/** A fault and what became of it. */
export interface Fault {
  /** By which it can be cleared. */
  readonly id: number;
  readonly command: 'inject' | 'delay' | 'drop' | 'throttle';
  /** The API whose requests it fits; all when null. */
  readonly api: Api | null;
  /** To how many requests it was applied. */
  readonly applied: number;
  /** To how many it still will be; null is without end. */
  readonly left: number | null;
  /** What it was set with: `error`, `ms`, `topic` and so on. */
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

/** How many requests of one API the clients sent. */
export interface RequestCount {
  /** All of them. */
  readonly total: number;
  /** By version. */
  readonly versions: Readonly<Record<number, number>>;
}

/**
 * A Kafka broker in a process of its own. It ends by itself when this process ends, however that
 * happens, and does not keep it alive.
 *
 * Faults apply until they are cleared, or to as many requests as `times` says. Of several of one
 * kind the oldest that has times left applies, so a series of errors is a series of calls. They
 * resolve with the fault's id, and reject with FaultError when a name is unknown or the fault could
 * never apply.
 */
export class Broker implements AsyncDisposable {
  /** A broker that does not run yet. */
  constructor(options?: BrokerOptions);

  /** A broker that serves. Rejects with BrokerError and the reason when it does not start. */
  static start(options?: BrokerOptions): Promise<Broker>;

  /** Starts it; resolves when it serves. Does nothing when it runs. */
  start(): Promise<void>;

  /** Ends it and removes its data, unless the folder was given. May be called again. */
  close(): Promise<void>;

  [Symbol.asyncDispose](): Promise<void>;

  /** What clients are configured with: `127.0.0.1:PORT`. */
  get bootstrapServers(): string;

  /** The port on 127.0.0.1; the same over `restart`. */
  get port(): number;

  /** The data folder: a folder a partition, with Kafka's files. */
  get dataDir(): string;

  /** The process; another one after `restart`. */
  get pid(): number;

  /** Whether the process is there. */
  get isRunning(): boolean;

  /** SIGKILL. What was acknowledged is kept. Does nothing when it does not run. */
  kill(): Promise<void>;

  /** A clean end: what is under way is answered, the data is kept. */
  stop(): Promise<void>;

  /**
   * Stops it if it runs, and starts it with the same port and data. Faults, a pause and counters
   * are gone.
   */
  restart(): Promise<void>;

  /** Answers nothing from now on, connections stay open, as if the machine hung. */
  pause(): Promise<void>;

  /** Answers again, first what has waited. */
  resume(): Promise<void>;

  /** Answers requests with an error. */
  inject(fault: InjectedError): Promise<number>;

  /** Holds requests back, or with `after` their answers. */
  delay(fault: Delay): Promise<number>;

  /** Closes the connections of requests without an answer, or within one. */
  dropConnections(fault?: Drop): Promise<number>;

  /** Answers with a `throttle_time_ms`. */
  throttle(fault: Throttle): Promise<number>;

  /** Every fault since the start that was not cleared, also those that are used up. */
  faults(): Promise<Fault[]>;

  /** Clears one fault, or all; resolves with how many there were. A pause stays. */
  clearFaults(id?: number): Promise<number>;

  /** What the clients sent since the start; also what a fault kept from being served. */
  requests(): Promise<Partial<Record<Api, RequestCount>>>;

  /** How many requests of an API the clients sent since the start, in all versions or one. */
  requestCount(api: Api, version?: number): Promise<number>;

  /** The broker's log, over all its starts; after `close` the last one. */
  log(): string;
}

/**
 * The broker cannot be found, did not start, does not run or does not answer. When it ended by
 * itself, the end of its log is in the text.
 */
export class BrokerError extends Error {}

/** The broker refused a fault: a name is unknown, or the fault could never apply. */
export class FaultError extends BrokerError {}
