'use strict';
// A Kafka broker inside of a test. What it can do is told in index.d.ts.

const { Broker } = require('./lib/broker.cjs');
const { BrokerError, FaultError } = require('./lib/errors.cjs');

module.exports = { Broker, BrokerError, FaultError };
