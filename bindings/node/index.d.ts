// The types of the package `ottla`: a Kafka client on one native core. Written by hand and held to
// the code by test/types.test.mjs.
//
// Times are numbers of milliseconds since 1970, offsets are bigint, sizes are bytes. Every method
// that waits takes `{ signal }`: when the signal aborts, the promise is rejected with its reason
// and the core drops the call.

/// <reference types="node" />

/** What every waiting call takes. */
export interface CallOptions {
  /** Gives the call up when it aborts. */
  signal?: AbortSignal | undefined;
}

/**
 * Settings by Kafka's names, dotted (`"linger.ms"`), in camel case (`lingerMs`) or in snake case.
 * A name that is not known is refused, with the nearest that is; docs/guide lists all of them.
 */
export interface Settings {
  /** Where to find the cluster: `host:port`, one or several. */
  bootstrapServers?: string | string[];
  /** The name that brokers log. */
  clientId?: string;
  [name: string]: string | number | bigint | boolean | readonly string[] | undefined;
}

/** Settings of a producer; all others by their names. */
export interface ProducerSettings extends Settings {
  /** Who must have a record before its delivery succeeds. */
  acks?: 'all' | 0 | 1 | -1 | '0' | '1' | '-1';
  /** Whether each record is written once, in order, whatever is retried. */
  enableIdempotence?: boolean;
  compressionType?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  /** How long a batch waits for more records, in ms. */
  lingerMs?: number;
  /** The size at which a batch is full, in bytes before compression. */
  batchSize?: number;
  /** The most memory for records that are not acknowledged yet, in bytes. */
  bufferMemory?: number;
  /** The longest from `send` to success or failure of a record, in ms. */
  deliveryTimeoutMs?: number;
  /** The longest that a record waits for memory or for its topic, in ms. */
  maxBlockMs?: number;
}

/** Settings of a consumer; all others by their names. */
export interface ConsumerSettings extends Settings {
  /** The group: its members share the topics' partitions. */
  groupId?: string;
  /** Makes the member static. */
  groupInstanceId?: string;
  /** Where to start without a committed offset. */
  autoOffsetReset?: 'earliest' | 'latest' | 'none' | `by_duration:${string}`;
  isolationLevel?: 'read_committed' | 'read_uncommitted';
  /** Whether finished records are committed by themselves. */
  enableAutoCommit?: boolean;
  autoCommitIntervalMs?: number;
  sessionTimeoutMs?: number;
  maxPollIntervalMs?: number;
}

/** What a key, a value or a header's value may be; text is sent as UTF-8. */
export type Bytes = string | Uint8Array | ArrayBufferView | ArrayBuffer;

/** Headers to send, in order: pairs (keys may repeat), a Map, or an object. */
export type SendHeaders =
  | ReadonlyArray<readonly [string, Bytes | null]>
  | ReadonlyMap<string, Bytes | null>
  | { readonly [key: string]: Bytes | null };

/** A record to send, without its topic. */
export interface RecordToSend {
  /** Records of one key go to one partition, in order. An empty key is a key. */
  key?: Bytes | null | undefined;
  /** The value; null is a tombstone on a compacted topic. */
  value?: Bytes | null | undefined;
  /** The partition; without it the partitioner chooses. */
  partition?: number | undefined;
  /** Without it the time of `send`. */
  timestamp?: number | Date | undefined;
  headers?: SendHeaders | undefined;
}

/** Where a record was written. */
export class RecordMetadata {
  private constructor();
  readonly topic: string;
  readonly partition: number;
  /** -1n where the broker did not say (`acks=0`). */
  readonly offset: bigint;
  readonly timestamp: number;
}

/**
 * Sends records. Idempotent by default: each is written once and in order per partition, whatever
 * is retried.
 */
export class Producer implements AsyncDisposable {
  private constructor();

  /**
   * Connects to one of the bootstrap servers.
   *
   * @throws {ConfigError} a setting is unknown or refused
   * @throws {UnreachableError} no bootstrap server answers
   */
  static connect(settings: ProducerSettings, options?: CallOptions): Promise<Producer>;

  /**
   * Sends a record; it is on its way in the order of the calls. The promise tells where it was
   * written. Where memory (`bufferMemory`) is used up the record waits, at most `maxBlockMs`. Of
   * what waits 128 KiB a topic are copied; the rest stays in the objects that were given: change
   * none of their bytes before the promise has ended, and await promises now and then, so that not
   * too many wait.
   *
   * A signal that aborts gives up a record that still waits; of one that is on its way only the
   * answer is given up.
   *
   * @throws {InvalidError} the record is too large, or the partition does not exist
   * @throws {NotFoundError} the topic does not exist
   * @throws {TimeoutError} not in time; see `possiblyWritten`
   */
  send(record: RecordToSend & { topic: string }, options?: CallOptions): Promise<RecordMetadata>;

  /**
   * Sends many records of one topic in one call, which costs less than as many `send`.
   *
   * @throws {OttlaError} the first failure, if any failed; its `results` has the outcome of each
   */
  sendMany(
    topic: string,
    records: Iterable<RecordToSend>,
    options?: CallOptions,
  ): Promise<RecordMetadata[]>;

  /** Waits until every record that was sent before has ended; nothing lingers meanwhile. */
  flush(options?: CallOptions): Promise<void>;

  /** How many partitions a topic has. */
  partitionCount(topic: string, options?: CallOptions): Promise<number>;

  /** Bytes of `bufferMemory` that are in use. */
  get memoryUsed(): number;

  /**
   * Refuses new records, waits for those on their way (at most `timeoutMs`, else
   * `deliveryTimeoutMs`), and ends the connections.
   *
   * @throws {TimeoutError} records were left; their promises say so
   */
  close(options?: CallOptions & { timeoutMs?: number }): Promise<void>;

  [Symbol.asyncDispose](): Promise<void>;
}

/** A partition of a topic. */
export interface TopicPartition {
  topic: string;
  partition: number;
}

/** A change of a consumer's partitions. */
export interface RebalanceEvent {
  /**
   * `assigned`: added. `revoked`: given up, after finished offsets were committed if
   * `enableAutoCommit` is on. `lost`: taken away without a chance to commit. `truncated`: records
   * that were consumed are not in the log any more.
   */
  type: 'assigned' | 'revoked' | 'lost' | 'truncated';
  partitions: TopicPartition[];
}

/** What a consumer consumes: topics of a group, or partitions. */
export interface ConsumerOptions extends CallOptions {
  /** Subscribes as a member of the group. */
  topics?: Iterable<string>;
  /** Takes exactly these; a group then only keeps the offsets. */
  partitions?: Iterable<TopicPartition>;
  /** Told of every change of the assignment. */
  onRebalance?: (event: RebalanceEvent) => void;
}

/** A record: a view on its batch, which it keeps alive. Bytes are read when they are looked at. */
export class Record {
  private constructor();
  get topic(): string;
  get partition(): number;
  get offset(): bigint;
  /** The producer's, or the broker's under `LogAppendTime`; -1 for none. */
  get timestamp(): number;
  /** Null and empty differ. */
  get key(): Buffer | null;
  /** Null and empty differ. */
  get value(): Buffer | null;
  /** In the producer's order; keys may repeat. */
  get headers(): Array<[string, Buffer | null]>;
  /** As JSON has it: the offset as text. */
  toJSON(): object;
}

/** Records of one partition in order of their offsets. Keep it as long as you like. */
export class Batch implements Iterable<Record> {
  private constructor();
  readonly topic: string;
  readonly partition: number;
  /** How many records. */
  readonly length: number;
  /** The offset from which on the batch has records; they need not be dense. */
  get baseOffset(): bigint;
  /** The last offset that the batch covers, whether a record is left there or not. */
  readonly lastOffset: bigint;
  /** The epoch of the leader that appended it; -1 where the broker is too old to say. */
  readonly leaderEpoch: number;
  /** The record at an index, from the end if it is negative; undefined outside. */
  at(index: number): Record | undefined;
  /** The value of the record at an index; fastest, as no `Record` is made. */
  value(index: number): Buffer | null;
  key(index: number): Buffer | null;
  offset(index: number): bigint;
  timestamp(index: number): number;
  headers(index: number): Array<[string, Buffer | null]>;
  [Symbol.iterator](): IterableIterator<Record>;
}

/** An offset to commit: of the *next* record to be consumed. */
export interface OffsetToCommit extends TopicPartition {
  offset: bigint;
  leaderEpoch?: number | null;
  metadata?: string | null;
}

/** A committed offset. */
export interface CommittedOffset extends TopicPartition {
  offset: bigint;
  leaderEpoch: number | null;
  metadata: string | null;
}

/**
 * Reads records. Ask for them one after the other. A record (a batch) is *finished* when the next
 * is asked for, and only what is finished is committed by itself: nothing is lost when the program
 * dies in the middle. Heartbeats, fetching ahead and commits go on in the background.
 */
export class Consumer implements AsyncDisposable, AsyncIterable<Record> {
  private constructor();

  /**
   * Connects to one of the bootstrap servers and begins to join and fetch.
   *
   * @throws {ConfigError} a setting is unknown or refused, or topics without a group
   * @throws {UnreachableError} no bootstrap server answers
   */
  static connect(settings: ConsumerSettings, options?: ConsumerOptions): Promise<Consumer>;

  /**
   * Waits for the next batch; null once closed. An aborted signal loses nothing. Inside of a batch
   * that is consumed record by record, its rest comes first.
   *
   * @throws {OttlaError} what the user has to know; unless it is `fatal`, asking again goes on
   */
  nextBatch(options?: CallOptions): Promise<Batch | null>;

  /** Waits for the next record; null once closed. Else as `nextBatch`. */
  next(options?: CallOptions): Promise<Record | null>;

  /** All batches, until the consumer is closed. */
  batches(options?: CallOptions): AsyncIterableIterator<Batch>;

  /** All records, until it is closed. Leaving the loop does not finish its last record. */
  records(options?: CallOptions): AsyncIterableIterator<Record>;

  /** As `records()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Record>;

  /**
   * Commits everything that was handed out, up to the last record that was given.
   *
   * @throws {RebalanceError} the partitions belong to another member by now
   */
  commit(options?: CallOptions): Promise<void>;

  /** Commits these offsets. */
  commitOffsets(offsets: Iterable<OffsetToCommit>, options?: CallOptions): Promise<void>;

  /** Replaces the subscription; the group rebalances. */
  subscribe(topics: Iterable<string>): void;

  /** Replaces the partitions of a consumer that was made with them. */
  assign(partitions: Iterable<TopicPartition>): void;

  /** The partitions that this consumer has now. */
  assignment(): TopicPartition[];

  /** The offset after what was handed out; null while it is not known. */
  position(partition: TopicPartition): bigint | null;

  /** How many records are behind the position, as of the last fetch; null before it. */
  lag(partition: TopicPartition): bigint | null;

  /** @throws {InvalidError} the partition is not assigned */
  seek(partition: TopicPartition, offset: bigint): void;
  /** @throws {InvalidError} the partition is not assigned */
  seekToBeginning(partition: TopicPartition): void;
  /** @throws {InvalidError} the partition is not assigned */
  seekToEnd(partition: TopicPartition): void;
  /**
   * Goes to the first record with this timestamp or a later one.
   *
   * @throws {InvalidError} the partition is not assigned
   */
  seekToTimestamp(partition: TopicPartition, timestamp: number | Date): void;

  /** Delivers nothing of the partition until `resume`. */
  pause(partition: TopicPartition): void;
  resume(partition: TopicPartition): void;
  isPaused(partition: TopicPartition): boolean;

  /** What the group has committed; a partition without a commit is absent. */
  committed(
    partitions: Iterable<TopicPartition>,
    options?: CallOptions,
  ): Promise<CommittedOffset[]>;

  /** The first offset of each partition. */
  beginningOffsets(
    partitions: Iterable<TopicPartition>,
    options?: CallOptions,
  ): Promise<Array<TopicPartition & { offset: bigint }>>;

  /** The offset after the last record of each partition. */
  endOffsets(
    partitions: Iterable<TopicPartition>,
    options?: CallOptions,
  ): Promise<Array<TopicPartition & { offset: bigint }>>;

  /** The first record of each partition at a time or later; null where there is none. */
  offsetsForTimes(
    times: Iterable<TopicPartition & { timestamp: number | Date }>,
    options?: CallOptions,
  ): Promise<Array<TopicPartition & { offset: bigint | null; timestamp: number | null }>>;

  /**
   * Commits what is finished (if `enableAutoCommit` is on), leaves the group and closes all
   * connections, within 5 s.
   *
   * @throws {TimeoutError} the coordinator did not answer in time; it is closed all the same
   */
  close(options?: CallOptions): Promise<void>;

  [Symbol.asyncDispose](): Promise<void>;
}

/** What is told of each item: its fields, or the error. */
export type Outcome<Key, Fields = {}> =
  | (Key & Fields & { error: null })
  | (Key & { [field in keyof Fields]?: undefined } & { error: OttlaError });

/** A topic to create. */
export interface NewTopic {
  name: string;
  /** Without it the broker's default. */
  partitions?: number;
  /** Without it the broker's default. */
  replicationFactor?: number;
  /** Brokers by partition, instead of the two above. */
  assignments?: Iterable<Iterable<number>>;
  configs?: Settings;
}

export interface CreatedTopic {
  id: string | null;
  partitions: number | null;
  replicationFactor: number | null;
}

export interface TopicListing {
  name: string;
  id: string | null;
  isInternal: boolean;
}

export interface PartitionDescription {
  partition: number;
  leader: number | null;
  leaderEpoch: number;
  replicas: number[];
  isr: number[];
  offlineReplicas: number[];
}

export interface TopicDescription {
  id: string;
  isInternal: boolean;
  partitions: PartitionDescription[];
}

export interface BrokerDescription {
  nodeId: number;
  host: string;
  port: number;
  rack: string | null;
}

export interface ClusterDescription {
  clusterId: string;
  controllerId: number | null;
  brokers: BrokerDescription[];
}

/** A topic or a broker, by name or number. */
export type ConfigResource =
  | { type: 'topic'; name: string }
  | { type: 'broker'; name: string | number };

export interface ConfigEntry {
  name: string;
  /** Null where the broker keeps it secret. */
  value: string | null;
  source:
    | 'topic' | 'dynamic-broker' | 'dynamic-default-broker' | 'static-broker' | 'default' | 'other';
  isReadOnly: boolean;
  isSensitive: boolean;
}

export type ConfigChange =
  | { operation?: 'set'; name: string; value: string | number | boolean }
  | { operation: 'append' | 'subtract'; name: string; value: string }
  | { operation: 'delete'; name: string };

export interface GroupListing {
  groupId: string;
  protocolType: string;
  state: string;
  groupType: string;
}

export interface MemberDescription {
  memberId: string;
  groupInstanceId: string | null;
  clientId: string;
  clientHost: string;
  assignment: TopicPartition[];
}

export interface GroupDescription {
  state: string;
  protocolType: string;
  protocol: string;
  members: MemberDescription[];
}

/** Which offset of a partition: by name, or that of a time. */
export type OffsetSpec = 'earliest' | 'latest' | 'max-timestamp' | number | Date;

export interface ListedOffset {
  offset: bigint;
  timestamp: number | null;
  leaderEpoch: number | null;
}

type Named = { name: string };
type OfGroup = { groupId: string };

/** Manages topics, settings and groups. The plural forms answer each item's own outcome. */
export class Admin implements AsyncDisposable {
  private constructor();

  /** Connects to one of the bootstrap servers. */
  static connect(settings: Settings, options?: CallOptions): Promise<Admin>;

  /** Creates a topic, or only checks whether that would do. */
  createTopic(
    topic: string | NewTopic,
    options?: CallOptions & { validateOnly?: boolean },
  ): Promise<Named & CreatedTopic>;

  createTopics(
    topics: Iterable<string | NewTopic>,
    options?: CallOptions & { validateOnly?: boolean },
  ): Promise<Array<Outcome<Named, CreatedTopic>>>;

  deleteTopic(topic: string, options?: CallOptions): Promise<void>;
  deleteTopics(topics: Iterable<string>, options?: CallOptions): Promise<Array<Outcome<Named>>>;

  /** Raises topics to so many partitions. */
  createPartitions(
    topics: Iterable<{ name: string; partitions: number }>,
    options?: CallOptions,
  ): Promise<Array<Outcome<Named>>>;

  listTopics(options?: CallOptions): Promise<TopicListing[]>;

  describeTopics(
    topics: Iterable<string>,
    options?: CallOptions,
  ): Promise<Array<Outcome<Named, TopicDescription>>>;

  describeCluster(options?: CallOptions): Promise<ClusterDescription>;

  describeConfigs(
    resources: Iterable<ConfigResource>,
    options?: CallOptions,
  ): Promise<Array<Outcome<{ type: string; name: string }, { entries: ConfigEntry[] }>>>;

  alterConfigs(
    resources: Iterable<ConfigResource & { changes: Iterable<ConfigChange> }>,
    options?: CallOptions,
  ): Promise<Array<Outcome<{ type: string; name: string }>>>;

  listGroups(options?: CallOptions): Promise<GroupListing[]>;

  describeGroups(
    groups: Iterable<string>,
    options?: CallOptions,
  ): Promise<Array<Outcome<OfGroup, GroupDescription>>>;

  deleteGroups(groups: Iterable<string>, options?: CallOptions): Promise<Array<Outcome<OfGroup>>>;

  /** Offsets of partitions; the latest where no `spec` is given. */
  listOffsets(
    partitions: Iterable<TopicPartition & { spec?: OffsetSpec }>,
    options?: CallOptions,
  ): Promise<Array<Outcome<TopicPartition, ListedOffset>>>;

  /** What a group has committed. */
  listConsumerGroupOffsets(
    group: string,
    options?: CallOptions,
  ): Promise<Array<TopicPartition & {
    offset: bigint;
    leaderEpoch: number | null;
    metadata: string;
  }>>;

  close(options?: CallOptions): Promise<void>;

  [Symbol.asyncDispose](): Promise<void>;
}

/** What every error of this package is. */
export class OttlaError extends Error {
  constructor(message: string, fields?: Partial<
    Pick<OttlaError, 'code' | 'retriable' | 'fatal' | 'possiblyWritten'>
  >);
  /** The broker's error name where a broker answered one, else one per class. */
  readonly code: string;
  /** Whether the same call may succeed later without anything being changed. */
  readonly retriable: boolean;
  /** Whether the client is of no further use. */
  readonly fatal: boolean;
  /** Whether the record may be in the log although this error was reported. */
  readonly possiblyWritten: boolean;
  /** Of `sendMany`: the outcome of each record. */
  readonly results?: ReadonlyArray<RecordMetadata | OttlaError>;
}

/** A setting is unknown or out of range: change it. */
export class ConfigError extends OttlaError {}
/** An argument has the wrong type: change it. */
export class ArgumentTypeError extends OttlaError {}
/** No broker could be reached: check addresses and network. */
export class UnreachableError extends OttlaError {}
/** It took longer than its limit: it may be tried again. */
export class TimeoutError extends OttlaError {}
/** The topic, partition or group does not exist: create it. */
export class NotFoundError extends OttlaError {}
/** The argument can never be accepted as it is: change it. */
export class InvalidError extends OttlaError {}
/** The credentials were refused: correct them. */
export class AuthenticationError extends OttlaError {}
/** The user may not do this: grant the permission. */
export class AuthorizationError extends OttlaError {}
/** Another client took this one's place: discard this client. */
export class FencedError extends OttlaError {}
/** The group is rebalancing, or the member was removed: poll again. */
export class RebalanceError extends OttlaError {}
/** The position is not in the log any more: seek. */
export class OffsetOutOfRangeError extends OttlaError {}
/** The broker refused for another reason: see the code. */
export class BrokerError extends OttlaError {}
/** Broker and client have no version in common: change either. */
export class UnsupportedError extends OttlaError {}
/** The broker's bytes break the protocol, or a batch is corrupt. */
export class ProtocolError extends OttlaError {}
/** The local buffers are full: wait for deliveries, then try again. */
export class FullError extends OttlaError {}
/** The client was closed: make a new one. */
export class ClosedError extends OttlaError {}
/** The caller gave up; a record that was sent is on its way. */
export class CancelledError extends OttlaError {}
