package cpython

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// waitingProgram calls what the GIL calls. It sleeps, so that it can be read.
const waitingProgram = `
#include <pthread.h>
#include <unistd.h>
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
int main(void) {
	struct timespec past = {0, 0};
	pthread_mutex_lock(&mutex);
	pthread_cond_signal(&cond);
	pthread_cond_timedwait(&cond, &mutex, &past);
	pthread_mutex_unlock(&mutex);
	return pause();
}
`

// TestLibcKinds runs a program on every C library, and looks for the places of
// probes in it: the functions themselves, and the calls of them.
func TestLibcKinds(t *testing.T) {
	tests := []struct {
		name     string
		compiler []string
		kind     LibcKind
		sites    bool // the functions can be found
		calls    bool // the calls can be found
	}{
		{"glibc", []string{"gcc"}, Glibc, true, true},
		{"glibc, stripped", []string{"gcc", "-s"}, Glibc, true, true},
		{"glibc, bound late", []string{"gcc", "-Wl,-z,lazy"}, Glibc, true, true},
		{"glibc, no PLT", []string{"gcc", "-fno-plt"}, Glibc, true, false},
		{"static glibc", []string{"gcc", "-static"}, StaticLibc, false, true},
		{"static glibc, stripped", []string{"gcc", "-static", "-s"}, StaticLibc, false, false},
		{"musl", []string{"musl-gcc", "-Wl,--eh-frame-hdr"}, Musl, true, true},
		{"musl, stripped", []string{"musl-gcc", "-Wl,--eh-frame-hdr", "-s"}, Musl, true, true},
		{"static musl", []string{"musl-gcc", "-static"}, StaticLibc, false, true},
		{"static musl, stripped", []string{"musl-gcc", "-static", "-s"}, StaticLibc, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := exec.LookPath(test.compiler[0]); err != nil && test.compiler[0] == "musl-gcc" && os.Getenv("CI") == "" {
				t.Log("not tested: no musl here (apt-get install musl-tools); CI must have it")
				return
			}
			source, path := filepath.Join(t.TempDir(), "waiting.c"), filepath.Join(t.TempDir(), "waiting")
			if err := os.WriteFile(source, []byte(waitingProgram), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, test.compiler[0], append(test.compiler[1:], "-O1", "-pthread", "-o", path, source)...)
			p := native(t, path)
			if libc := p.Libc(); libc.Kind != test.kind || (libc.Version != "") != (libc.Kind == Glibc) {
				t.Errorf("C library %+v, want %s", libc, test.kind)
			}
			sites, err := p.LibcSites(condSignal, condTimedwait)
			checkSites(t, sites, err, test.sites, false)
			calls, err := p.CallSites()
			checkSites(t, calls, err, test.calls, true)
		})
	}
}

// checkSites holds the sites to one for each of the functions, or to a refusal.
func checkSites(t *testing.T, sites []Site, err error, want, calls bool) {
	t.Helper()
	if !want {
		if !errors.Is(err, ErrNoSymbol) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("sites %+v, error %v; want a refusal", sites, err)
		}
		t.Log(err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{condSignal, condTimedwait} {
		i := slices.IndexFunc(sites, func(s Site) bool { return s.Name == name })
		if i < 0 || sites[i].Call != calls {
			t.Errorf("no site of %s in %+v", name, sites)
			continue
		}
		t.Logf("%s: %s, %v", name, sites[i].Insn, sites[i].Cost)
	}
}
