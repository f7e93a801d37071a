package cpython

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// native starts a program that is no Python and reads it like one.
func native(t testing.TB, path string, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	const pause = "34"
	blockedAt(t, cmd.Process.Pid, pause)
	p := &Process{PID: cmd.Process.Pid, pidfd: -1, Build: Build{Path: path}}
	if err := p.Refresh(); err != nil {
		t.Fatal(err)
	}
	return p
}

// callers returns the names of the functions that a process sleeps in.
func callers(t testing.TB, p *Process) (names []string) {
	t.Helper()
	pc, sp := blockedAt(t, p.PID, "34")
	for _, ret := range p.Callers(pc, sp, readStack(t, p, sp)) {
		names = append(names, p.Symbolize(ret-1).Function)
	}
	return names
}

// fetcher returns a Debuginfod that asks the handlers, and its directory.
func fetcher(t testing.TB, handlers ...http.HandlerFunc) (*Debuginfod, string) {
	t.Helper()
	var servers []string
	for _, h := range handlers {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		servers = append(servers, server.URL)
	}
	dir := filepath.Join(t.TempDir(), "debuginfo")
	d, err := NewDebuginfod(strings.Join(servers, " "), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, dir
}

func serve(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }
}

// TestFetch: the right file gives names to a live process, is asked for once,
// and by its build id.
func TestFetch(t *testing.T) {
	stripped, debug := build(t, t.TempDir(), "-Wl,--build-id")
	id := imageOf(t, stripped).buildID()
	asked := make(chan string, 16)
	d, dir := fetcher(t, http.NotFound, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.Path
		serve(debug)(w, r)
	})
	p := native(t, stripped, "wait")
	if before := callers(t, p); slices.Contains(before, "hidden_function") {
		t.Fatalf("stack %q before the symbols were fetched", before)
	}
	got, err := d.Fetch(t.Context(), p)
	if after := callers(t, p); got != 1 || err != nil || !slices.Contains(after, "hidden_function") {
		t.Errorf("fetched %d, error %v, stack %q", got, err, after)
	}
	if got, err := d.Fetch(t.Context(), p); got != 0 || err != nil {
		t.Errorf("fetched again %d, error %v", got, err)
	}
	m := &module{img: imageOf(t, stripped)} // another recorder: from the cache
	if err := d.fetch(t.Context(), m); err != nil || !m.named() {
		t.Errorf("from the cache: %v", err)
	}
	if n, first := len(asked), <-asked; n != 1 || first != "GET /buildid/"+id+"/debuginfo" {
		t.Errorf("asked %d times, first %q", n, first)
	}
	if info, err := os.Stat(filepath.Join(dir, id+".debug")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("cached file %v, error %v", info, err)
	}
}

// TestFetchRefuses: what a bad server sends is neither used nor kept.
func TestFetchRefuses(t *testing.T) {
	stripped, debug := build(t, t.TempDir(), "-Wl,--build-id")
	_, other := build(t, t.TempDir(), "-Wl,--build-id", "-O0")
	_, anonymous := build(t, t.TempDir(), "-Wl,--build-id=none")
	truncated, err := os.ReadFile(debug)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    error
	}{
		{"404", http.NotFound, errNoServer},
		{"500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", 500) }, nil},
		{"another build id", serve(other), ErrMalformed},
		{"no build id", serve(anonymous), ErrMalformed},
		{"no symbols", serve(stripped), ErrMalformed},
		{"no ELF file", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, ErrMalformed},
		{"half a file", func(w http.ResponseWriter, _ *http.Request) { w.Write(truncated[:len(truncated)/2]) }, ErrMalformed},
		{"connection breaks", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			w.Write(truncated[:64])
		}, nil},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			w.Write(truncated)
			for piece := make([]byte, 1<<16); r.Context().Err() == nil; {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		}, ErrMalformed},
		{"slow", func(w http.ResponseWriter, r *http.Request) {
			w.Write(truncated[:64])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, context.DeadlineExceeded},
		{"redirected in a circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, nil},
	}
	for _, test := range tests {
		d, dir := fetcher(t, test.handler)
		d.limit = 1 << 20
		if test.name == "slow" {
			d.timeout = 50 * time.Millisecond
		}
		m := &module{img: imageOf(t, stripped)}
		err := d.fetch(t.Context(), m)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || m.named() {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v in the cache, error %v", test.name, left, err)
		}
	}
}

// TestFetchBadCache: a damaged file in the cache is replaced.
func TestFetchBadCache(t *testing.T) {
	stripped, debug := build(t, t.TempDir(), "-Wl,--build-id")
	d, dir := fetcher(t, serve(debug))
	m := &module{img: imageOf(t, stripped)}
	cached := filepath.Join(dir, m.img.buildID()+".debug")
	if err := os.WriteFile(cached, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.fetch(t.Context(), m); err != nil || !m.named() {
		t.Errorf("error %v", err)
	}
	want, _ := os.ReadFile(debug)
	if got, err := os.ReadFile(cached); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the cache has %d bytes, error %v; want %d", len(got), err, len(want))
	}
}

// TestNewDebuginfodRefuses servers that are none, and directories that others
// can write to.
func TestNewDebuginfodRefuses(t *testing.T) {
	dir := t.TempDir()
	open, foreign := filepath.Join(dir, "open"), "/usr"
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		foreign = filepath.Join(dir, "foreign")
		if err := errors.Join(os.Mkdir(foreign, 0o700), os.Chown(foreign, 12345, 12345)); err != nil {
			t.Fatal(err)
		}
	}
	const server = "http://127.0.0.1:1"
	tests := []struct{ name, servers, dir, want string }{
		{"no server", " ", filepath.Join(dir, "a"), "DEBUGINFOD_URLS"},
		{"no URL", server + " ::", filepath.Join(dir, "a"), "DEBUGINFOD_URLS"},
		{"a file", "file:///etc", filepath.Join(dir, "a"), "DEBUGINFOD_URLS"},
		{"no host", "http:///x", filepath.Join(dir, "a"), "DEBUGINFOD_URLS"},
		{"readable by others", server, open, "chmod 700"},
		{"another user's", server, foreign, "XDG_CACHE_HOME"},
		{"below another user's", server, filepath.Join(foreign, "x", "y"), "XDG_CACHE_HOME"},
		{"below a file", server, "/proc/self/exe/x", "XDG_CACHE_HOME"},
	}
	for _, test := range tests {
		d, err := NewDebuginfod(test.servers, test.dir)
		if err == nil {
			d.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one that names %s", test.name, err, test.want)
		}
	}
	if _, err := os.Stat(filepath.Join(foreign, "x")); err == nil {
		t.Error("a directory was made in another user's")
	}
}
