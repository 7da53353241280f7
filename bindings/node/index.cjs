'use strict';

const { Producer, RecordMetadata } = require('./lib/producer.cjs');
const { Consumer } = require('./lib/consumer.cjs');
const { Batch, Record } = require('./lib/batch.cjs');
const { Admin } = require('./lib/admin.cjs');
const { OttlaError, classes } = require('./lib/errors.cjs');

module.exports = {
  Producer, RecordMetadata, Consumer, Batch, Record, Admin, OttlaError, ...classes,
};
