package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type adminTask struct {
	Bootstrap string
	Config    config
}

type operation struct {
	Operation, Topic        string
	Partitions, Replication int32
}

type partition struct {
	Partition int32 `json:"partition"`
	Leader    int32 `json:"leader"`
}

// How long a broker may take to create or delete a topic.
const brokerTimeoutMs = 30000

func administrate(in input) {
	var task adminTask
	in.task(&task)
	client, err := kgo.NewClient(task.Config.options(task.Bootstrap)...)
	for {
		var wanted operation
		if in.next(&wanted) != nil {
			break
		}
		if err != nil {
			say(object{"error": failure(err)})
			continue
		}
		answer, err := operate(context.Background(), client, wanted)
		if err != nil {
			answer = object{"error": failure(err)}
		}
		say(answer)
	}
	if client != nil {
		client.Close()
	}
}

func operate(ctx context.Context, client *kgo.Client, wanted operation) (object, error) {
	switch wanted.Operation {
	case "create-topic":
		return object{"ok": true}, create(ctx, client, wanted)
	case "delete-topic":
		return object{"ok": true}, remove(ctx, client, wanted.Topic)
	case "list-topics":
		topics, err := list(ctx, client)
		return object{"topics": topics}, err
	case "describe-topic":
		partitions, err := describe(ctx, client, wanted.Topic)
		return object{"partitions": partitions}, err
	}
	unimplemented(fmt.Sprintf("there is no operation %q", wanted.Operation))
	return nil, nil
}

func create(ctx context.Context, client *kgo.Client, wanted operation) error {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions = wanted.Topic, wanted.Partitions
	topic.ReplicationFactor = int16(wanted.Replication)
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics, request.TimeoutMillis = append(request.Topics, topic), brokerTimeoutMs
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(response.Topics) != 1 {
		return fmt.Errorf("CreateTopics was answered for %d topics, not 1", len(response.Topics))
	}
	return answered(response.Topics[0].ErrorCode, response.Topics[0].ErrorMessage)
}

// What the broker answered, with its own words.
func answered(code int16, words *string) error {
	err := kerr.ErrorForCode(code)
	if err != nil && words != nil {
		return fmt.Errorf("%w (%s)", err, *words)
	}
	return err
}

// By name in the versions below 6, and by name in a field of its own from there on.
func remove(ctx context.Context, client *kgo.Client, name string) error {
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.TopicNames, request.Topics = []string{name}, append(request.Topics, topic)
	request.TimeoutMillis = brokerTimeoutMs
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(response.Topics) != 1 {
		return fmt.Errorf("DeleteTopics was answered for %d topics, not 1", len(response.Topics))
	}
	return answered(response.Topics[0].ErrorCode, response.Topics[0].ErrorMessage)
}

func list(ctx context.Context, client *kgo.Client) ([]string, error) {
	response, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, topic := range response.Topics {
		if topic.Topic != nil {
			names = append(names, *topic.Topic)
		}
	}
	return names, nil
}

func describe(ctx context.Context, client *kgo.Client, name string) ([]partition, error) {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	if len(response.Topics) != 1 {
		return nil, fmt.Errorf("Metadata was answered for %d topics, not 1", len(response.Topics))
	}
	if err := kerr.ErrorForCode(response.Topics[0].ErrorCode); err != nil {
		return nil, err
	}
	partitions := []partition{}
	for _, part := range response.Topics[0].Partitions {
		partitions = append(partitions, partition{part.Partition, part.Leader})
	}
	return partitions, nil
}
