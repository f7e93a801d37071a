package viewer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// PerfettoPort is the one local port that the content security policy of
// ui.perfetto.dev lets the UI fetch from.
const PerfettoPort = 9001

const (
	perfettoOrigin = "https://ui.perfetto.dev"
	serveTimeout   = 60 * time.Second // for the UI to come, and again for it to read
)

// ErrNobodyCame says that the UI did not fetch the trace in time.
var ErrNobodyCame = errors.New("the Perfetto UI did not fetch the trace")

// Handover gives one trace to the Perfetto UI, once. Any web page can send
// requests to a local port, so the answer goes only to a request with our host,
// Perfetto's origin (or none, as a typed address has) and an unguessable path.
type Handover struct {
	listener net.Listener
	data     io.ReaderAt
	size     int64
	host     string
	path     string
	done     chan struct{}
	timeout  time.Duration
}

// NewHandover listens on 127.0.0.1. Port 0 takes a free one, which the real UI
// does not reach: it is for tests.
func NewHandover(data io.ReaderAt, size int64, port int) (*Handover, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listen for the Perfetto UI: %w; another viewer may be using port %d: end it, "+
			"or open the file by hand at %s", err, port, perfettoOrigin)
	}
	return &Handover{
		listener: l, data: data, size: size, host: l.Addr().String(),
		path: "/" + rand.Text() + "/trace.pftrace", done: make(chan struct{}, 1), timeout: serveTimeout,
	}, nil
}

// Link opens the UI with this trace and tracks pinned, in the order of pins; all
// about the GIL if there are none.
func (h *Handover) Link(pins ...Pin) (string, error) {
	if len(pins) == 0 {
		pins = []Pin{{Regex: "^GIL"}}
	}
	commands := make([]pinCommand, len(pins))
	for i, p := range pins {
		commands[i] = p.command()
	}
	text, err := json.Marshal(commands)
	if err != nil {
		return "", fmt.Errorf("build the link: %w", err)
	}
	return perfettoOrigin + "/#!/?url=" + url.QueryEscape("http://"+h.host+h.path) +
		"&startupCommands=" + url.QueryEscape(string(text)), nil
}

// Serve answers until one request got the whole trace, nobody came in time, or
// the context ends.
func (h *Handover) Serve(ctx context.Context) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: h.timeout, MaxHeaderBytes: 16 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(h.listener) }()
	timer := time.NewTimer(h.timeout)
	defer timer.Stop()
	var err error
	select {
	case <-h.done:
	case <-timer.C:
		err = fmt.Errorf("%w within %s; run view again and open the link at once", ErrNobodyCame, h.timeout)
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-failed:
		return fmt.Errorf("serve the trace: %w", err)
	}
	// The answer is complete for us, but may still be on its way through the server.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, srv.Shutdown(grace))
}

// ServeHTTP implements http.Handler.
func (h *Handover) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", "no-store")
	origin := r.Header.Get("Origin")
	switch {
	case r.Host != h.host:
		http.Error(w, "wrong host", http.StatusForbidden)
		return
	case len(r.Header.Values("Origin")) > 1 || origin != "" && origin != perfettoOrigin:
		http.Error(w, "wrong origin", http.StatusForbidden)
		return
	case r.Method != http.MethodGet:
		http.Error(w, "GET only", http.StatusMethodNotAllowed)
		return
	case r.URL.Path != h.path || r.URL.RawQuery != "":
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	head.Set("Access-Control-Allow-Origin", perfettoOrigin)
	head.Set("Content-Type", "application/octet-stream")
	head.Set("Content-Length", strconv.FormatInt(h.size, 10))
	if n, err := io.Copy(w, io.NewSectionReader(h.data, 0, h.size)); err != nil || n != h.size {
		return // it may come again
	}
	select {
	case h.done <- struct{}{}:
	default:
	}
}
