// The same objects as for CommonJS: one loop and one native module per environment.
import ottla from './index.cjs';

export const {
  Producer, RecordMetadata, Consumer, Batch, Record, Admin, OttlaError,
  ConfigError, ArgumentTypeError, UnreachableError, TimeoutError, NotFoundError, InvalidError,
  AuthenticationError, AuthorizationError, FencedError, RebalanceError, OffsetOutOfRangeError,
  BrokerError, UnsupportedError, ProtocolError, FullError, ClosedError, CancelledError,
} = ottla;

export default ottla;
