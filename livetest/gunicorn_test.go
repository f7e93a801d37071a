package livetest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
)

// server is a gunicorn that is recorded.
type server struct {
	t       testing.TB
	log     lines
	url     string
	master  int
	workers []int
	stop    func() recording
}

// servers are the kinds of workers that are tested, with how many there are.
var servers = map[string][]string{
	"sync":    {"--workers", "4"},
	"gthread": {"--workers", "2", "--threads", "4", "--worker-class", "gthread"},
}

// TestGunicorn: every worker of a server is recorded, also one that is killed and the one that replaces it.
func TestGunicorn(t *testing.T) {
	for kind, flags := range servers {
		for _, how := range []string{"pid", "command"} {
			t.Run(kind+"/"+how, steady(func(t testing.TB) {
				cmd := gunicorn(t, testpy.One(t, "3.12"), flags)
				want, _ := strconv.Atoi(flags[1])
				var s *server
				if how == "pid" {
					s = recordServer(t, cmd, want)
				} else {
					s = launchServer(t, cmd, want)
				}
				s.load(100)
				killed, replacement := s.kill()
				s.load(100)
				if err := syscall.Kill(s.master, syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				r := s.stop()
				checkWorkers(t, r, s, killed, replacement)
				checkHandler(t, r, kind)
			}))
		}
	}
}

// gunicorn is the command that serves testdata/processes/shop.py on a free port.
func gunicorn(t testing.TB, in testpy.Interpreter, flags []string) *exec.Cmd {
	t.Helper()
	args := append([]string{"-m", "gunicorn", "--bind", "127.0.0.1:0", "--chdir", filepath.Dir(processesScript(t, "shop"))}, flags...)
	cmd := in.Command(append(args, "shop:app")...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+testpy.Gunicorn(t), "PYTHONDONTWRITEBYTECODE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// listen starts a command and reads what it says.
func listen(t testing.TB, cmd *exec.Cmd) *server {
	t.Helper()
	words, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	s := &server{t: t, log: newLines(words)}
	line := s.log.await(t, "Listening at: ")
	m := regexp.MustCompile(`\[(\d+)\] \[INFO\] Listening at: (http://\S+)`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("gunicorn says %q", line)
	}
	s.master, _ = strconv.Atoi(m[1])
	s.url = m[2]
	return s
}

// boots waits for n new workers, and for the end of as many old ones.
func (s *server) boots(n, ends int) (pids []int) {
	s.t.Helper()
	for n > 0 || ends > 0 {
		line := s.log.await(s.t, "pid: ")
		if strings.Contains(line, "Worker exiting (pid: ") {
			ends--
			continue
		}
		if _, word, ok := strings.Cut(line, "Booting worker with pid: "); ok {
			pid, err := strconv.Atoi(word)
			if err != nil {
				s.t.Fatalf("gunicorn says %q", line)
			}
			pids = append(pids, pid)
			n--
		}
	}
	return pids
}

// recordServer records a server that runs. Workers that were there before are
// not recorded; it gets new ones.
func recordServer(t testing.TB, cmd *exec.Cmd, workers int) *server {
	t.Helper()
	s := listen(t, cmd)
	s.boots(workers, 0)
	r := startRecord(t, "-p", fmt.Sprint(s.master), "--follow")
	if err := syscall.Kill(s.master, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.workers = s.boots(workers, workers) // an old one may still take a request, and not answer it
	s.stop = func() recording {
		r.wait(t)
		return open(t, r, nil)
	}
	return s
}

// launchServer records a server from its start.
func launchServer(t testing.TB, cmd *exec.Cmd, workers int) *server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.pftrace")
	record := command(append([]string{"record", "-v", "-o", path, "--no-event-callstacks", "--"}, cmd.Args...))
	record.Env = cmd.Env
	s := listen(t, record)
	s.workers = s.boots(workers, 0)
	s.stop = func() recording {
		s.log.await(t, "wrote "+path)
		if err := record.Wait(); err != nil {
			t.Fatalf("gilscope record: %v", err)
		}
		return fromStart(t, outcome{}, path)
	}
	return s
}

// load sends n requests, at most eight at a time.
func (s *server) load(n int) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: runLimit}
	todo, errs := make(chan int, n), make(chan error, n)
	for i := range n {
		todo <- i
	}
	close(todo)
	for range 8 {
		go func() {
			for range todo {
				errs <- request(client, s.url)
			}
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			s.t.Fatal(err)
		}
	}
}

func request(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %q: %w", url, answer.Status, body, err)
	}
	return nil
}

// kill kills a worker, and waits for the one that replaces it.
func (s *server) kill() (killed, replacement int) {
	s.t.Helper()
	killed = s.workers[len(s.workers)-1]
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	replacement = s.boots(1, 0)[0]
	s.workers = append(s.workers, replacement)
	return killed, replacement
}

// checkWorkers: all of them are the master's children, and it is known how they ended.
func checkWorkers(t testing.TB, r recording, s *server, killed, replacement int) {
	t.Helper()
	for _, pid := range s.workers {
		row, want := processOf(r.report, int32(pid)), analyze.Exit{}
		if pid == killed {
			want.Signal = 9
		}
		if row == nil || row.ParentPID == nil || int(*row.ParentPID) != s.master || row.StartMethod == nil || *row.StartMethod != "fork" ||
			row.Exit == nil || *row.Exit != want || row.Python == nil {
			t.Errorf("worker %d: the report has %s, want a fork of %d that ended with %+v", pid, rowText(row), s.master, want)
		}
	}
	if n := len(r.report.Processes); n != len(s.workers)+1 {
		t.Errorf("the report has %d processes, want a master and %d workers", n, len(s.workers))
	}
	if k, n := processOf(r.report, int32(killed)), processOf(r.report, int32(replacement)); k != nil && n != nil && *n.StartedNS <= *k.StartedNS {
		t.Error("the replacement was there before")
	}
	if row := processOf(r.report, int32(s.master)); row == nil || row.Exit == nil || *row.Exit != (analyze.Exit{}) {
		t.Errorf("the master: the report has %s", rowText(row))
	}
}

// checkHandler: threads of a worker wait for each other in the handler; a worker without threads does not wait.
func checkHandler(t testing.TB, r recording, kind string) {
	t.Helper()
	var wait, blamed, right int64
	wrong := map[string]int64{}
	for _, g := range r.report.GIL {
		wait += g.WaitNS
		for _, b := range g.Blame {
			if b.Holder.TID == nil || *b.Holder.TID == analyze.Nobody {
				continue
			}
			blamed += b.WaitNS
			if s := b.Holder.Site; s != nil && s.Function != nil && *s.Function == "price_basket" && sameFile(*s.File, "shop.py") && *s.Line >= 6 && *s.Line <= 9 {
				right += b.WaitNS
				continue
			}
			wrong[place(nil, b.Holder)] += b.WaitNS
		}
	}
	t.Logf("%.1f ms of GIL waits, blame right for %.1f %%", ms(wait), share(right, blamed))
	if kind == "sync" && wait != 0 {
		t.Errorf("%.3f ms of GIL waits in processes of one thread: %v", ms(wait), wrong)
	}
	if kind == "gthread" && (blamed < 50e6 || share(right, blamed) < 80) {
		t.Errorf("%.1f of %.1f ms are blamed on the handler; the rest: %v", ms(right), ms(blamed), wrong)
	}
}
