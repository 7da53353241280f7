// Compiled, never run: the types as a user of the package meets them.

import testing, {
  Broker, BrokerError, FaultError, type Fault, type RequestCount,
} from '../index.mjs';

export async function uses(): Promise<void> {
  await using broker = await Broker.start({ config: { 'num.partitions': 1 }, dataDir: 'data' });
  const error = 'NOT_LEADER_OR_FOLLOWER';
  const id: number = await broker.inject({ api: 'Produce', error, times: 3 });
  await broker.delay({ ms: 10, after: true });
  await broker.dropConnections({ api: 'Fetch', when: 'after', topic: 't', partition: 0 });
  await broker.dropConnections();
  await broker.throttle({ ms: 1, group: 'g', api: 'Heartbeat' });
  const faults: Fault[] = await broker.faults();
  const cleared: number = await broker.clearFaults(faults[0]?.id ?? id);
  const count: RequestCount | undefined = (await broker.requests()).Produce;
  const servers: string = broker.bootstrapServers + cleared + (count?.versions[13] ?? 0);
  const same: typeof Broker = testing.Broker;
  const failure: BrokerError = new FaultError(servers + same.name);
  // @ts-expect-error an unknown api
  await broker.inject({ api: 'Prodcue', error: 'X' });
  // @ts-expect-error an error needs an api
  await broker.inject({ error });
  // @ts-expect-error a field that is none
  await broker.delay({ ms: 1, tpic: 't' });
  throw failure;
}
