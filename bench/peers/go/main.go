// franz-go behind the command line that every client of the comparison has.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 6

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "franz-go:", err)
		os.Exit(1)
	}
}

func print(result map[string]any) {
	line, err := json.Marshal(result)
	fail(err)
	fmt.Println(string(line))
}

func values(path string) [][]byte {
	text, err := os.ReadFile(path)
	fail(err)
	var lines [][]byte
	for _, line := range bytes.Split(text, []byte{'\n'}) {
		if len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

func codec(name string) kgo.CompressionCodec {
	switch name {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("produce, consume or latency?"))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	bootstrap := flags.String("bootstrap", "", "host:port")
	topic := flags.String("topic", "", "topic")
	records := flags.Int64("records", 0, "records")
	payload := flags.String("payload", "", "file of values")
	compression := flags.String("codec", "none", "codec")
	rate := flags.Int64("rate", 1000, "records a second")
	seconds := flags.Int64("seconds", 10, "seconds")
	fail(flags.Parse(os.Args[2:]))
	ctx := context.Background()
	options := []kgo.Opt{kgo.SeedBrokers(*bootstrap), kgo.DefaultProduceTopic(*topic)}
	switch os.Args[1] {
	case "produce":
		options = append(options, kgo.ProducerBatchCompression(codec(*compression)))
		produce(ctx, options, values(*payload), *records)
	case "consume":
		offsets := make(map[int32]kgo.Offset)
		for partition := int32(0); partition < partitions; partition++ {
			offsets[partition] = kgo.NewOffset().AtStart()
		}
		options = append(options,
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{*topic: offsets}))
		consume(ctx, options, *records)
	case "latency":
		options = append(options, kgo.ProducerLinger(0))
		latency(ctx, options, values(*payload), *rate, *seconds)
	default:
		fail(fmt.Errorf("produce, consume or latency, not %s", os.Args[1]))
	}
}

func produce(ctx context.Context, options []kgo.Opt, values [][]byte, records int64) {
	client, err := kgo.NewClient(options...)
	fail(err)
	defer client.Close()
	var failed atomic.Int64
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.Add(1)
		}
	}
	start := time.Now()
	for number := int64(0); number < records; number++ {
		client.Produce(ctx, &kgo.Record{Value: values[number%int64(len(values))]}, promise)
	}
	fail(client.Flush(ctx))
	if failed.Load() > 0 {
		fail(fmt.Errorf("%d records failed", failed.Load()))
	}
	print(map[string]any{"records": records, "seconds": time.Since(start).Seconds()})
}

func consume(ctx context.Context, options []kgo.Opt, records int64) {
	client, err := kgo.NewClient(options...)
	fail(err)
	defer client.Close()
	start := time.Now()
	var count, size int64
	for count < records {
		fetches := client.PollFetches(ctx)
		for _, failure := range fetches.Errors() {
			fail(failure.Err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			count++
			size += int64(len(record.Value))
		})
	}
	print(map[string]any{"records": count, "bytes": size, "seconds": time.Since(start).Seconds()})
}

func latency(ctx context.Context, options []kgo.Opt, values [][]byte, rate, seconds int64) {
	client, err := kgo.NewClient(options...)
	fail(err)
	defer client.Close()
	for warm := 0; warm < 100; warm++ {
		fail(client.ProduceSync(ctx, &kgo.Record{Value: values[0]}).FirstErr())
	}
	var lock sync.Mutex
	var times []time.Duration
	begin := time.Now()
	for number := int64(0); number < rate*seconds; number++ {
		time.Sleep(time.Until(begin.Add(time.Duration(number) * time.Second / time.Duration(rate))))
		start := time.Now()
		record := &kgo.Record{Value: values[number%int64(len(values))]}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			fail(err)
			lock.Lock()
			times = append(times, time.Since(start))
			lock.Unlock()
		})
	}
	fail(client.Flush(ctx))
	sort.Slice(times, func(a, b int) bool { return times[a] < times[b] })
	at := func(quantile float64) int64 {
		return times[int(quantile*float64(len(times)-1))].Microseconds()
	}
	print(map[string]any{"p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999)})
}
