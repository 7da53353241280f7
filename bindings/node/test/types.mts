// Compiled by `npm run check`, not run: the declarations as a user's strict compiler meets them.
import ottla, {
  Admin, Batch, Consumer, OffsetOutOfRangeError, OttlaError, Producer, Record, RecordMetadata,
  TimeoutError,
} from 'ottla';
import type { ConsumerSettings, Outcome, RebalanceEvent, TopicPartition } from 'ottla';

/** Refuses to compile unless the types are the same. */
type Probe<A> = <T>() => T extends A ? 1 : 2;
type Same<A, B> = Probe<A> extends Probe<B> ? true : never;
const same = <A, B>(proof: Same<A, B>) => proof;

export async function produce(): Promise<void> {
  await using producer = await Producer.connect({
    bootstrapServers: ['127.0.0.1:9092'], lingerMs: 5, 'compression.type': 'zstd', acks: 'all',
  });
  const written = await producer.send({
    topic: 't', key: 'k', value: new Uint8Array(1), headers: { a: 'b', c: null },
    timestamp: new Date(),
  }, { signal: AbortSignal.timeout(1) });
  same<typeof written, RecordMetadata>(true);
  same<typeof written.offset, bigint>(true);
  const many = await producer.sendMany('t', [
    { value: 'x' }, { value: null, headers: [['a', 'b']] },
  ]);
  same<typeof many, RecordMetadata[]>(true);
  same<typeof producer.memoryUsed, number>(true);
  await producer.close({ timeoutMs: 100 });
  // @ts-expect-error a record has a topic
  await producer.send({ value: 'x' });
  // @ts-expect-error bytes or text
  await producer.send({ topic: 't', value: 5 });
  // @ts-expect-error made by connect
  new Producer();
  // @ts-expect-error not a codec
  await Producer.connect({ compressionType: 'zip' });
}

export async function consume(settings: ConsumerSettings): Promise<void> {
  const mine: ConsumerSettings = { ...settings, groupId: 'g', autoOffsetReset: 'earliest' };
  const consumer = await Consumer.connect(mine, {
    topics: ['t'],
    onRebalance: (event) => { same<typeof event, RebalanceEvent>(true); },
  });
  for await (const record of consumer) {
    same<typeof record, Record>(true);
    same<typeof record.offset, bigint>(true);
    same<typeof record.value, Buffer | null>(true);
    same<typeof record.headers, Array<[string, Buffer | null]>>(true);
  }
  for await (const batch of consumer.batches({ signal: new AbortController().signal })) {
    same<typeof batch, Batch>(true);
    const [first] = batch;
    same<typeof first, Record | undefined>(true);
    same<ReturnType<typeof batch.value>, Buffer | null>(true);
  }
  same<Awaited<ReturnType<typeof consumer.next>>, Record | null>(true);
  same<ReturnType<typeof consumer.position>, bigint | null>(true);
  const [partition] = consumer.assignment();
  same<typeof partition, TopicPartition | undefined>(true);
  // @ts-expect-error an offset is a bigint
  consumer.seek({ topic: 't', partition: 0 }, 5);
  await consumer[Symbol.asyncDispose]();
}

export async function manage(): Promise<void> {
  const admin = await Admin.connect({ bootstrapServers: 'h:1' });
  const created = await admin.createTopic({ name: 't', configs: { 'retention.ms': 5 } });
  same<typeof created.partitions, number | null>(true);
  for (const topic of await admin.describeTopics(['t'])) {
    same<typeof topic.error, null | OttlaError>(true);
    if (topic.error === null) same<typeof topic.isInternal, boolean>(true);
    else same<typeof topic.error, OttlaError>(true);
  }
  const listed: Array<Outcome<TopicPartition, { offset: bigint }>> = await admin.listOffsets([
    { topic: 't', partition: 0, spec: 'earliest' },
  ]);
  void listed;
  // @ts-expect-error unknown kind of resource
  await admin.describeConfigs([{ type: 'planet', name: 'x' }]);
}

export function handle(error: unknown): string {
  if (error instanceof OffsetOutOfRangeError || error instanceof TimeoutError) return error.code;
  if (error instanceof ottla.OttlaError && error.possiblyWritten) return error.message;
  return '';
}
