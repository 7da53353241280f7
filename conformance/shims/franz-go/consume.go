package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

type consumeTask struct {
	Bootstrap        string
	Topics           []string
	Group            *string
	OffsetReset      string `json:"offset_reset"`
	Isolation        string
	Count            *int
	Commit           bool
	SessionTimeoutMs int64 `json:"session_timeout_ms"`
	Config           config
}

func consume(in input) {
	task := consumeTask{
		OffsetReset: "earliest", Isolation: "read_uncommitted", Commit: true, SessionTimeoutMs: 10000,
	}
	in.task(&task)
	ctx, end := context.WithCancel(context.Background())
	go func() {
		for in.next(&json.RawMessage{}) == nil {
		}
		end()
	}()
	client, err := kgo.NewClient(consumeOptions(task)...)
	if err == nil && task.Group == nil {
		err = assign(ctx, client, task)
	}
	if err != nil {
		say(object{"error": failure(err)})
		return
	}
	delivered := 0
	for ctx.Err() == nil && (task.Count == nil || delivered < *task.Count) {
		limit := 500
		if task.Count != nil {
			limit = min(limit, *task.Count-delivered)
		}
		fetches := client.PollRecords(ctx, limit)
		for _, failed := range fetches.Errors() {
			if !errors.Is(failed.Err, context.Canceled) {
				say(object{"error": failure(failed.Err)})
			}
		}
		fetches.EachRecord(func(record *kgo.Record) {
			say(line(record))
			delivered++
		})
	}
	if task.Commit && task.Group != nil && delivered > 0 {
		if err := client.CommitUncommittedOffsets(context.Background()); err != nil {
			say(object{"error": failure(err)})
		}
	}
	client.Close()
}

func consumeOptions(task consumeTask) []kgo.Opt {
	reset := map[string]kgo.Offset{
		"earliest": kgo.NewOffset().AtStart(), "latest": kgo.NewOffset().AtEnd(),
		"none": kgo.NoResetOffset(),
	}
	options := append(task.Config.options(task.Bootstrap),
		kgo.ConsumeResetOffset(reset[task.OffsetReset]))
	if task.Isolation == "read_committed" {
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if wait, ok := task.Config.duration("fetch.max.wait.ms"); ok {
		options = append(options, kgo.FetchMaxWait(wait))
	}
	if task.Group == nil {
		return options
	}
	if interval, ok := task.Config.duration("heartbeat.interval.ms"); ok {
		options = append(options, kgo.HeartbeatInterval(interval))
	}
	return append(options,
		kgo.ConsumerGroup(*task.Group),
		kgo.ConsumeTopics(task.Topics...),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(milliseconds(task.SessionTimeoutMs)),
		kgo.OnPartitionsAssigned(rebalanced("assigned")),
		kgo.OnPartitionsRevoked(rebalanced("revoked")),
		kgo.OnPartitionsLost(rebalanced("revoked")),
	)
}

func rebalanced(what string) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		if len(partitions) > 0 || what == "assigned" {
			say(object{what: places(partitions)})
		}
	}
}

func places(partitions map[string][]int32) [][2]any {
	pairs := [][2]any{}
	for topic, numbers := range partitions {
		for _, number := range numbers {
			pairs = append(pairs, [2]any{topic, number})
		}
	}
	return pairs
}

// Takes all partitions of the topics, without a group.
func assign(ctx context.Context, client *kgo.Client, task consumeTask) error {
	start := kgo.NewOffset().AtStart()
	if task.OffsetReset == "latest" {
		start = kgo.NewOffset().AtEnd()
	}
	offsets, assigned := map[string]map[int32]kgo.Offset{}, map[string][]int32{}
	for _, topic := range task.Topics {
		partitions, err := describe(ctx, client, topic)
		if err != nil {
			return err
		}
		offsets[topic] = map[int32]kgo.Offset{}
		for _, partition := range partitions {
			offsets[topic][partition.Partition] = start
			assigned[topic] = append(assigned[topic], partition.Partition)
		}
	}
	client.AddConsumePartitions(offsets)
	say(object{"assigned": places(assigned)})
	return nil
}

func line(record *kgo.Record) object {
	headers := [][2]any{}
	for _, header := range record.Headers {
		headers = append(headers, [2]any{header.Key, encode(header.Value)})
	}
	return object{
		"topic": record.Topic, "partition": record.Partition, "offset": record.Offset,
		"timestamp": record.Timestamp.UnixMilli(),
		"key":       encode(record.Key), "value": encode(record.Value), "headers": headers,
	}
}

func encode(bytes []byte) any {
	if bytes == nil {
		return nil
	}
	return base64.StdEncoding.EncodeToString(bytes)
}

// UnmarshalJSON reads ["name", "base64"] or ["name", null].
func (h *headerLine) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&h.name, &h.value})
}
