package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// The load is a closed loop of our own, so that a fixed amount of work comes
// from one small process that can be kept away from the server's CPU: this
// program again, with loadWord as its first argument.
const (
	loadWord    = "load"
	connections = 32
	maxAnswer   = 1 << 20 // bytes
)

// loaded is what one load measured.
type loaded struct {
	WallNS int64 `json:"wall_ns"`
	P99NS  int64 `json:"p99_ns"` // of the time from a request to the end of its answer
}

// loadMain is the load generator: load ADDRESS REQUESTS.
func loadMain(args []string, out io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("load: want ADDRESS REQUESTS, got %q", args)
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n <= 0 {
		return fmt.Errorf("load: %q is no number of requests", args[1])
	}
	l, err := load(args[0], n)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(l)
}

// runLoad lets a process of its own send n requests.
func runLoad(ctx context.Context, cpu, addr string, n int) (loaded, error) {
	self, err := os.Executable()
	if err != nil {
		return loaded{}, fmt.Errorf("find this program, which is also the load: %w: build it with go build", err)
	}
	cmd := exec.CommandContext(ctx, "taskset", "-c", cpu, self, loadWord, addr, strconv.Itoa(n))
	// One thread that never collects: the load must not be what differs.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return loaded{}, fmt.Errorf("send %d requests to %s: %w: the server may have ended", n, addr, err)
	}
	var l loaded
	if err := json.Unmarshal(text, &l); err != nil || l.WallNS <= 0 {
		return loaded{}, fmt.Errorf("understand what the load says: %q: %w", text, err)
	}
	return l, nil
}

// load sends n requests over the connections, each with one under way at a time.
func load(addr string, n int) (loaded, error) {
	took := make([]int64, n)
	var next atomic.Int64
	errs := make(chan error, connections)
	begin := time.Now()
	for range connections {
		go func() { errs <- loadOne(addr, &next, took) }()
	}
	for range connections {
		if err := <-errs; err != nil {
			return loaded{}, err
		}
	}
	wall := time.Since(begin)
	slices.Sort(took)
	return loaded{int64(wall), took[(len(took)*99-1)/100]}, nil
}

// loadOne is one connection: it takes the next request until there is none.
func loadOne(addr string, next *atomic.Int64, took []int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	request := fmt.Appendf(nil, "GET /basket/7 HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive\r\n\r\n", addr)
	answers := bufio.NewReader(c)
	for i := next.Add(1); i <= int64(len(took)); i = next.Add(1) {
		begin := time.Now()
		if _, err := c.Write(request); err != nil {
			return fmt.Errorf("send a request to %s: %w", addr, err)
		}
		if err := readAnswer(answers); err != nil {
			return fmt.Errorf("read the answer of %s: %w", addr, err)
		}
		took[i-1] = int64(time.Since(begin))
	}
	return nil
}

// readAnswer reads one answer of HTTP/1.1 with a length, as both servers send,
// without an allocation.
func readAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || string(line[9:12]) != "200" {
		return fmt.Errorf("it is %q: see what the server says", line)
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if n, ok := contentLength(line); ok {
			length = n
		}
	}
	if length < 0 || length > maxAnswer {
		return fmt.Errorf("it has no usable Content-Length (%d): the server must send one", length)
	}
	_, err = r.Discard(length)
	return err
}

// contentLength is the number in the header of that name.
func contentLength(line []byte) (int, bool) {
	const name = "content-length:"
	if len(line) < len(name) {
		return 0, false
	}
	for i := range len(name) {
		if c := line[i]; c != name[i] && c|0x20 != name[i] {
			return 0, false
		}
	}
	n, found := 0, false
	for _, c := range line[len(name):] {
		if c >= '0' && c <= '9' && n <= maxAnswer {
			n, found = n*10+int(c-'0'), true
		}
	}
	return n, found
}
