'use strict';

/** What can go wrong between a test and its broker. */
class BrokerError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = this.constructor.name;
  }
}

/** The broker refused a fault. */
class FaultError extends BrokerError {}

module.exports = { BrokerError, FaultError };
