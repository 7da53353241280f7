// franz-go as a shim; ../README.md says what the lines mean.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const module = "github.com/twmb/franz-go"

// What the suite knows as "the client does not have it".
const unimplementedStatus = 89

type object = map[string]any

var output sync.Mutex

func say(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	_, _ = os.Stdout.Write(append(text, '\n'))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "franz-go shim:", err)
	os.Exit(1)
}

func unimplemented(why string) {
	say(object{"unimplemented": why})
	os.Exit(unimplementedStatus)
}

// What the client tells of a failure.
func failure(err error) object {
	told := object{"code": nil, "name": fmt.Sprintf("%T", err), "retriable": nil}
	told["message"] = err.Error()
	var answered *kerr.Error
	if errors.As(err, &answered) {
		told["code"], told["name"] = answered.Code, answered.Message
		told["retriable"] = answered.Retriable
	}
	return told
}

// Lines of standard input, into values.
type input struct{ lines *bufio.Scanner }

func newInput() input {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	return input{lines}
}

func (in input) next(line any) error {
	for in.lines.Scan() {
		if strings.TrimSpace(in.lines.Text()) == "" {
			continue
		}
		if err := json.Unmarshal(in.lines.Bytes(), line); err != nil {
			fail(err)
		}
		return nil
	}
	if err := in.lines.Err(); err != nil {
		fail(err)
	}
	return io.EOF
}

func (in input) task(task any) {
	if err := in.next(task); err != nil {
		fail(errors.New("the input ends before its first line"))
	}
}

// Settings by Kafka's names, those that franz-go has an equal for.
type config map[string]any

func (c config) number(name string) (int64, bool) {
	switch value := c[name].(type) {
	case float64:
		return int64(value), true
	case string:
		number, err := strconv.ParseInt(value, 10, 64)
		return number, err == nil
	}
	return 0, false
}

func (c config) duration(name string) (time.Duration, bool) {
	number, ok := c.number(name)
	return time.Duration(number) * time.Millisecond, ok
}

// Options that all its clients have.
func (c config) options(bootstrap string) []kgo.Opt {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
	}
	if timeout, ok := c.duration("request.timeout.ms"); ok {
		options = append(options, kgo.RequestTimeoutOverhead(timeout))
	}
	if age, ok := c.duration("metadata.max.age.ms"); ok {
		options = append(options, kgo.MetadataMaxAge(age))
		if age < minAge {
			options = append(options, kgo.MetadataMinAge(age))
		}
	}
	if retries, ok := c.number("retries"); ok {
		options = append(options, kgo.RequestRetries(int(retries)))
	}
	if limit, ok := c.duration("default.api.timeout.ms"); ok {
		options = append(options, kgo.RetryTimeout(limit))
	}
	return options
}

// Its own least time between two looks at the metadata.
const minAge = 5 * time.Second

func milliseconds(number int64) time.Duration { return time.Duration(number) * time.Millisecond }

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}

func main() {
	operation := ""
	if len(os.Args) > 1 {
		operation = os.Args[1]
	}
	switch operation {
	case "version":
		say(object{"client": "franz-go", "version": version()})
		return
	case "produce":
		produce(newInput())
	case "consume-group":
		consume(newInput())
	case "admin":
		administrate(newInput())
	default:
		unimplemented(fmt.Sprintf("there is no operation %q", operation))
	}
	say(object{"done": true})
}
