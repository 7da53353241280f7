package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The least that it takes for the size of a batch, in bytes.
const leastBatch = 512

type produceTask struct {
	Bootstrap, Topic, Acks, Compression string
	Idempotence                         *bool
	LingerMs                            int64 `json:"linger_ms"`
	RequestTimeoutMs                    int64 `json:"request_timeout_ms"`
	DeliveryTimeoutMs                   int64 `json:"delivery_timeout_ms"`
	WaitEach                            bool  `json:"wait_each"`
	Config                              config
}

// Null and empty differ: encoding/json leaves a null slice nil, and makes an empty one of "".
type recordLine struct {
	Partition  *int32
	Key, Value []byte
	Headers    []headerLine
	Timestamp  *int64
}

// A pair.
type headerLine struct {
	name  string
	value []byte
}

func produce(in input) {
	task := produceTask{
		Acks: "all", Compression: "none", LingerMs: 5, RequestTimeoutMs: 3000, DeliveryTimeoutMs: 15000,
	}
	in.task(&task)
	client, err := kgo.NewClient(produceOptions(task)...)
	if err != nil {
		for number := 0; in.next(&recordLine{}) == nil; number++ {
			say(object{"record": number, "error": failure(err)})
		}
		return
	}
	for number := 0; ; number++ {
		var line recordLine
		if in.next(&line) != nil {
			break
		}
		answered := make(chan struct{})
		// Its RecordDeliveryTimeout counts from the record's timestamp, which may be years ago.
		limit := milliseconds(task.DeliveryTimeoutMs)
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		client.Produce(ctx, line.record(task.Topic), func(record *kgo.Record, err error) {
			if err != nil {
				say(object{"record": number, "error": failure(err)})
			} else {
				place := object{"record": number, "partition": record.Partition}
				place["offset"] = record.Offset
				if task.Acks == "0" {
					place["offset"] = -1
				}
				say(place)
			}
			cancel()
			close(answered)
		})
		if task.WaitEach {
			<-answered
		}
	}
	if err := client.Flush(context.Background()); err != nil {
		fail(err)
	}
	client.Close()
}

func produceOptions(task produceTask) []kgo.Opt {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	acks := map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}
	options := append(task.Config.options(task.Bootstrap),
		kgo.RequiredAcks(acks[task.Acks]),
		kgo.ProducerBatchCompression(codecs[task.Compression]),
		kgo.ProducerLinger(milliseconds(task.LingerMs)),
		kgo.ProduceRequestTimeout(milliseconds(task.RequestTimeoutMs)),
		kgo.RequestTimeoutOverhead(milliseconds(task.RequestTimeoutMs)),
		kgo.RecordPartitioner(partitioner{kgo.StickyKeyPartitioner(nil)}),
	)
	idempotent := task.Acks == "all" && (task.Idempotence == nil || *task.Idempotence)
	if idempotent {
		// As Kafka's delivery.timeout.ms, which ends records that are in flight, too.
		options = append(options, kgo.AllowIdempotentProduceCancellation())
	} else {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	// With idempotence it knows itself how many may be in flight.
	if count, ok := task.Config.number("max.in.flight.requests.per.connection"); ok && !idempotent {
		options = append(options, kgo.MaxProduceRequestsInflightPerBroker(int(count)))
	}
	if bytes, ok := task.Config.number("batch.size"); ok {
		options = append(options, kgo.ProducerBatchMaxBytes(int32(max(bytes, leastBatch))))
	}
	return options
}

func (line recordLine) record(topic string) *kgo.Record {
	record := &kgo.Record{Topic: topic, Key: line.Key, Value: line.Value, Partition: -1}
	if line.Partition != nil {
		record.Partition = *line.Partition
	}
	if line.Timestamp != nil {
		record.Timestamp = time.UnixMilli(*line.Timestamp)
	}
	for _, header := range line.Headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: header.name, Value: header.value})
	}
	return record
}

// The record's own partition where it has one, else the client's choice.
type partitioner struct{ otherwise kgo.Partitioner }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.otherwise.ForTopic(topic)}
}

type topicPartitioner struct{ kgo.TopicPartitioner }

func (p topicPartitioner) RequiresConsistency(record *kgo.Record) bool {
	return record.Partition >= 0 || p.TopicPartitioner.RequiresConsistency(record)
}

func (p topicPartitioner) Partition(record *kgo.Record, count int) int {
	if record.Partition >= 0 {
		return int(record.Partition)
	}
	return p.TopicPartitioner.Partition(record, count)
}
