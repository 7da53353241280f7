import testing from './index.cjs';

export const { Broker, BrokerError, FaultError } = testing;

export default testing;
