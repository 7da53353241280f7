// kfake, the fake cluster of franz-go, as a target: prints the address of its one broker and its
// own version, and lives until its standard input closes.
//
// Some requests end its process, others let it hang. So that the rest of a run has a target, the
// cluster is a process of its own, which is started again, empty, on the same port.
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
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

const module = "github.com/twmb/franz-go/pkg/kfake"

// cluster is the argument of the process that is one, before its port.
const cluster = "cluster"

const (
	// patience is how long a cluster may take to answer before it counts as hanging.
	patience = 3 * time.Second
	pause    = 200 * time.Millisecond
)

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

// isAlive tells whether a cluster answers ApiVersions before long.
func isAlive(address string) bool {
	until := time.Now().Add(patience)
	connection, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return false
	}
	defer connection.Close()
	_ = connection.SetDeadline(until)
	if _, err := connection.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff}); err != nil {
		return false
	}
	_, err = io.ReadFull(connection, make([]byte, 8))
	return err == nil
}

// watch ends a cluster that hangs.
func watch(process *os.Process, address string, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-time.After(pause):
		}
		if !isAlive(address) {
			_ = process.Kill()
			return
		}
	}
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
		ended := make(chan struct{})
		go watch(process.Process, address, ended)
		why := process.Wait()
		close(ended)
		fmt.Fprintln(os.Stderr, "kfake: the cluster has ended and is started again:", why)
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
