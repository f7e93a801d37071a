package livetest

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// Things that a production process has and nobody else should get.
const (
	secretArgument = "planted-argument-4c1f"
	secretVariable = "planted-variable-93ab" // of the environment
	secretLocal    = "planted-local-07de"
	secretFolder   = "planted-folder-b52c"
)

// secretsScript holds its secrets in all ways while it contends for the GIL, in
// Python and in a C function of a library of its own, from child processes too.
const secretsScript = `
import ctypes, os, sys, threading, time
native = ctypes.PyDLL(sys.argv[2]) # keeps the GIL
def handle_request(password, end):
    token = [password, "` + secretLocal + `"[:]]
    while time.monotonic() < end:
        native.usleep(3000)
        sum(len(x) for x in token * 1000)
def main():
    end = time.monotonic() + .6
    threads = [threading.Thread(target=handle_request, args=(sys.argv[1], end)) for i in range(3)]
    for th in threads: th.start()
    for th in threads: th.join()
if os.fork() == 0:
    main()
    os._exit(0)
main()
os.wait()
`

// plantSecrets makes a program, its interpreter and its library in a folder with
// a telling name, and returns the command that runs it.
func plantSecrets(t testing.TB) []string {
	t.Helper()
	dir := filepath.Join(publicDir(t), secretFolder)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	python, script, library := filepath.Join(dir, "python3.11"), filepath.Join(dir, "service.py"), filepath.Join(dir, "libown.so")
	copyFile(t, system, python)
	libc, err := filepath.EvalSymlinks("/lib/x86_64-linux-gnu/libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	// A second copy of libc: any library with a function that takes its time.
	copyFile(t, libc, library)
	if err := os.WriteFile(script, []byte(secretsScript), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{python, script, secretArgument, library}
}

// TestSecrets: what a process was told and what it has in memory is in no trace;
// the names of its folders are, unless they are not wanted.
func TestSecrets(t *testing.T) {
	argv := plantSecrets(t)
	for _, redact := range []bool{false, true} {
		for _, detail := range []string{"waits", "full"} {
			t.Run(fmt.Sprintf("redact=%v/%s", redact, detail), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "t.pftrace")
				args := []string{"record", "--hz", "500", "--detail", detail, "-o", path, fmt.Sprint("--redact-paths=", redact), "--"}
				run(t, append(args, argv...), func(cmd *exec.Cmd) {
					cmd.Env = append(os.Environ(), "SERVICE_TOKEN="+secretVariable, "PYTHONHOME=/usr")
				}).wants(t, 0)
				readTrace(t, path)
				data := inflated(t, path)
				for _, secret := range []string{secretArgument, secretVariable, secretLocal} {
					if bytes.Contains(data, []byte(secret)) {
						t.Errorf("%s is in the trace", secret)
					}
				}
				for _, there := range []string{"handle_request", "service.py", "libown.so", "usleep", "python3.11"} {
					if !bytes.Contains(data, []byte(there)) {
						t.Errorf("%s is not in the trace", there)
					}
				}
				if got := bytes.Contains(data, []byte(secretFolder)); got == redact {
					t.Errorf("the name of the folder is in the trace: %v", got)
				}
				if redact {
					checkNoFolder(t, path)
				}
			})
		}
	}
}

// checkNoFolder: no frame and no note has an absolute path.
func checkNoFolder(t testing.TB, path string) {
	t.Helper()
	tr := readTrace(t, path)
	for _, f := range tr.Frames {
		for _, id := range []trace.StringID{f.File, f.Module} {
			if text := tr.Strings[id]; len(text) > 0 && text[0] == '/' {
				t.Errorf("a frame is in %s", text)
			}
		}
	}
	for _, n := range notes(tr, trace.NoteTarget) {
		for _, a := range n.Args {
			if bytes.Contains([]byte(" "+a.Text), []byte(" /")) {
				t.Errorf("note %s: %s is %s", n.Name, a.Key, a.Text)
			}
		}
	}
}

// TestSecretsAttached: the same for a process that runs already, and its report
// is the same with and without the names of folders.
func TestSecretsAttached(t *testing.T) {
	python := testpy.One(t, "3.13")
	p := testpy.Start(t, python, busyScript)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "300ms", "--detail", "full", "--redact-paths")
	r.wait(t)
	data := inflated(t, r.trace)
	for _, part := range []string{filepath.Dir(python.Path), "/usr/", "/lib/"} {
		if bytes.Contains(data, []byte(part)) {
			t.Errorf("%s is in the trace", part)
		}
	}
	if !bytes.Contains(data, []byte("libc.so.6")) {
		t.Error("the sites are not named")
	}
	run(t, []string{"report", r.trace}).wants(t, 0, "Threads")
}

// TestWordsOfTargets: a program whose name controls terminals does not control ours.
func TestWordsOfTargets(t *testing.T) {
	dir := filepath.Join(publicDir(t), "\x1b[31m\nforged")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	python, other := filepath.Join(dir, "\x1b]0;name\x07"), filepath.Join(dir, "\nother")
	copyFile(t, system, python)
	copyFile(t, "/bin/sleep", other)
	path := filepath.Join(t.TempDir(), "t.pftrace")
	for _, argv := range [][]string{{python, "-c", "import time; time.sleep(.2)"}, {"sh", "-c", `exec "$0" .2`, other}} {
		o := run(t, append([]string{"record", "-v", "-o", path, "--"}, argv...), func(cmd *exec.Cmd) {
			cmd.Env = append(os.Environ(), "PYTHONHOME=/usr")
		})
		o.wants(t, 0, `\x`)
		o.stdout += run(t, []string{"report", path}).stdout
		for _, line := range strings.Split(o.stdout+o.stderr, "\n") {
			if strings.ContainsFunc(line, unicode.IsControl) || strings.HasPrefix(line, "forged") || strings.HasPrefix(line, "other") {
				t.Errorf("a name has its way: %q", line)
			}
		}
	}
}

// inflated are the bytes of a trace with its compressed packets unpacked: fields
// 1 of a Trace and 50 of a TracePacket, as Perfetto numbers them.
func inflated(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const packetTag, compressedTag = 1<<3 | 2, 50<<3 | 2
	out := bytes.Clone(b)
	for {
		tag, packet, rest := delimited(t, b)
		if tag != packetTag {
			t.Fatalf("field %d in a trace", tag>>3)
		}
		if len(packet) > 2 && binary.LittleEndian.Uint16(packet) == compressedTag&0x7f|0x80|compressedTag>>7<<8 {
			_, body, _ := delimited(t, packet)
			z, err := zlib.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, plain...)
		}
		if b = rest; len(b) == 0 {
			return out
		}
	}
}

// delimited takes a field with a length off the front of a message.
func delimited(t testing.TB, b []byte) (tag uint64, body, rest []byte) {
	t.Helper()
	tag, n := binary.Uvarint(b)
	size, m := binary.Uvarint(b[max(n, 0):])
	if n <= 0 || m <= 0 || size > uint64(len(b)-n-m) {
		t.Fatal("the trace is damaged")
	}
	return tag, b[n+m:][:size], b[n+m:][size:]
}
