// What is hot, beside the generated ottlaFFI.h: native/src/abi.rs is the other side.
//
// Objects come by the address that their address() tells, and must be held during the call.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Where a batch's records are. Everything stays where it is, unchanged, while the batch is held.
typedef struct OttlaBatchView {
  /// The records' bytes.
  const uint8_t *data;
  size_t data_bytes;
  /// Eight integers a record: offset less base_offset; timestamp less base_timestamp, low half,
  /// high half; where the key begins and its bytes (-1: null); the same of the value; where the
  /// record's headers begin in `headers` (-1: none).
  const int32_t *records;
  size_t record_count;
  /// At a record's place: the count, then per header where its key begins, the key's bytes, where
  /// the value begins, the value's bytes (-1: null).
  const int32_t *headers;
  size_t header_count;
  /// UTF-8, without an end.
  const uint8_t *topic;
  size_t topic_bytes;
  int32_t partition;
  /// -1: unknown.
  int32_t leader_epoch;
  int64_t base_offset;
  int64_t last_offset;
  int64_t base_timestamp;
} OttlaBatchView;

/// Fills `view` from a NativeBatch.
void ottla_batch_view(uint64_t batch, OttlaBatchView *view);

/// What became of packed records that were handed over.
typedef struct OttlaEnqueued {
  /// A handle of Deliveries that the caller owns; 0: nothing was done, and enqueueLater tells why.
  uint64_t deliveries;
  /// Their address.
  uint64_t address;
  /// How many bytes of the packed records were taken; the next would have to wait.
  size_t taken_bytes;
  /// How many of the records were refused at once.
  size_t refused_count;
} OttlaEnqueued;

/// Hands packed records to a NativeProducer until one would have to wait.
OttlaEnqueued ottla_producer_enqueue(uint64_t producer, const uint8_t *packed, size_t bytes);

/// Where a record was written.
typedef struct OttlaWritten {
  /// Whether it was; if not, it failed or is on its way, and outcomesNow and outcomesLater tell.
  bool is_written;
  int32_t partition;
  int64_t offset;
  int64_t timestamp;
} OttlaWritten;

/// Where the record was written that Deliveries are of, if they are of one.
OttlaWritten ottla_delivery_now(uint64_t deliveries);

/// Tells a NativeConsumer how far a record-wise view is; whether to go on.
bool ottla_consumer_finish_up_to(uint64_t consumer, int64_t next_offset);
