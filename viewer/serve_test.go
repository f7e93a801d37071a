package viewer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

var payload = bytes.Repeat([]byte("trace"), 1<<18) // more than socket buffers hold

func handover(t *testing.T) *Handover {
	t.Helper()
	h, err := NewHandover(bytes.NewReader(payload), int64(len(payload)), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.listener.Close() })
	return h
}

func TestHandover(t *testing.T) {
	h := handover(t)
	served := make(chan error, 1)
	go func() { served <- h.Serve(t.Context()) }()
	link, err := h.Link()
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(link, "#!/?")
	params, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	if want := `[{"id":"dev.perfetto.PinTracksByRegex","args":["^GIL"]}]`; params.Get("startupCommands") != want {
		t.Errorf("startupCommands %s", params.Get("startupCommands"))
	}
	if !strings.HasPrefix(link, "https://ui.perfetto.dev/#!/?url=http%3A%2F%2F127.0.0.1%3A") {
		t.Errorf("link %s", link)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, params.Get("url"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", perfettoOrigin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(body, payload) || resp.Header.Get("Access-Control-Allow-Origin") != perfettoOrigin {
		t.Errorf("%v, %d bytes, %v", err, len(body), resp.Header)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestHandoverRefuses(t *testing.T) {
	h := handover(t)
	for _, c := range []struct {
		name string
		evil func(*http.Request)
		want int
	}{
		{"rebound name", func(r *http.Request) { r.Host = "evil.example:9001" }, 403},
		{"another name of this host", func(r *http.Request) { r.Host = strings.Replace(h.host, "127.0.0.1", "localhost", 1) }, 403},
		{"no port", func(r *http.Request) { r.Host = "127.0.0.1" }, 403},
		{"no host", func(r *http.Request) { r.Host = "" }, 403},
		{"another origin", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"origin that begins alike", func(r *http.Request) { r.Header.Set("Origin", perfettoOrigin+".evil.example") }, 403},
		{"opaque origin", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		{"two origins", func(r *http.Request) { r.Header["Origin"] = []string{perfettoOrigin, "https://evil.example"} }, 403},
		{"POST", func(r *http.Request) { r.Method = http.MethodPost }, 405},
		{"HEAD", func(r *http.Request) { r.Method = http.MethodHead }, 405},
		{"OPTIONS", func(r *http.Request) { r.Method = http.MethodOptions }, 405},
		{"root", func(r *http.Request) { r.URL.Path = "/" }, 404},
		{"name without the secret", func(r *http.Request) { r.URL.Path = "/trace.pftrace" }, 404},
		{"walk", func(r *http.Request) { r.URL.Path = h.path + "/../../etc/passwd" }, 404},
		{"query", func(r *http.Request) { r.URL.RawQuery = "x" }, 404},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://"+h.host+h.path, nil)
		r.Host = h.host
		c.evil(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || w.Header().Get("Access-Control-Allow-Origin") != "" || bytes.Contains(w.Body.Bytes(), payload[:20]) {
			t.Errorf("%s: %d, %v", c.name, w.Code, w.Header())
		}
	}
	if len(h.done) != 0 {
		t.Error("a refused request counts as the one")
	}
}

// broken is a browser that goes away in the middle.
type broken struct{ *httptest.ResponseRecorder }

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestHandoverOfAHalfIsNone(t *testing.T) {
	h := handover(t)
	r := httptest.NewRequest(http.MethodGet, "http://"+h.host+h.path, nil)
	r.Host = h.host
	h.ServeHTTP(broken{httptest.NewRecorder()}, r)
	if len(h.done) != 0 {
		t.Error("half a trace counts as handed over")
	}
}

func TestHandoverEnds(t *testing.T) {
	h := handover(t)
	h.timeout = time.Millisecond
	if err := h.Serve(t.Context()); !errors.Is(err, ErrNobodyCame) {
		t.Errorf("nobody came: %v", err)
	}
	h = handover(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Serve(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestHandoverAddress(t *testing.T) {
	h := handover(t)
	if !strings.HasPrefix(h.host, "127.0.0.1:") {
		t.Errorf("listens on %s", h.host)
	}
	if other := handover(t); other.path == h.path || len(h.path) < 26 {
		t.Errorf("path %s is not random", h.path)
	}
}
