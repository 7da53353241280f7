// kfake, the fake cluster of franz-go, as a target: prints the address of its one broker and its
// own version, and lives until its standard input closes.
//
// Some requests end its process. So that the rest of a run has a target, the cluster is a process
// of its own, which is started again, empty, on the same port.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
)

const module = "github.com/twmb/franz-go/pkg/kfake"

// cluster is the argument of the process that is one, before its port.
const cluster = "cluster"

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "kfake:", err)
		os.Exit(1)
	}
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}

// serve is the cluster, until its standard input closes.
func serve(port string) {
	number, err := strconv.Atoi(port)
	fail(err)
	running, err := kfake.NewCluster(
		kfake.Ports(number),
		kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelError)),
	)
	fail(err)
	fmt.Println(running.ListenAddrs()[0])
	_, _ = io.Copy(io.Discard, os.Stdin)
	running.Close()
}

// keep starts clusters, one after the end of the other, and gives the address of each.
func keep(standardInput *os.File, addresses chan<- string) {
	port := "0"
	for {
		process := exec.Command(os.Args[0], cluster, port)
		process.Stderr = os.Stderr
		process.Stdin = standardInput
		output, err := process.StdoutPipe()
		fail(err)
		fail(process.Start())
		line, err := bufio.NewReader(output).ReadString('\n')
		fail(err)
		address := strings.TrimSpace(line)
		_, port, err = net.SplitHostPort(address)
		fail(err)
		addresses <- address
		fmt.Fprintln(os.Stderr, "kfake: the cluster has ended and is started again:", process.Wait())
	}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == cluster {
		serve(os.Args[2])
		return
	}
	// The write end closes with this process, in whatever way that ends; so do all clusters.
	standardInput, held, err := os.Pipe()
	fail(err)
	defer held.Close()
	addresses := make(chan string, 1)
	go keep(standardInput, addresses)
	fmt.Println(<-addresses, version())
	go func() {
		for range addresses {
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
