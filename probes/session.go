package probes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// Errors of loading and attaching; each is wrapped with what failed and a remedy.
var (
	ErrPermission = errors.New("not permitted")
	ErrKernel     = errors.New("kernel not supported")
)

// Options of a session.
type Options struct {
	SampleHz  int           // CPU samples per second and CPU; 0: none
	RingBytes int           // size of the ring, a power of two; 0: 16 MiB; smaller if there is not enough memory
	Block     time.Duration // iterations of event loops that take so long are told of
	NoLoops   bool          // event loops are not looked for
}

// Session is the loaded and attached programs, and the ring they write to.
// One goroutine reads; targets may be added and removed meanwhile.
type Session struct {
	spec   *ebpf.CollectionSpec
	types  *btf.Cache // the kernel's, while everything is loaded: to read them takes as long as most programs; nil: read anew
	objs   objects
	multi  bool // uprobes by uprobe_multi links (kernel >= 6.6)
	ring   *ringbuf.Reader
	links  []closer         // of what serves all targets
	hooks  map[int][]closer // by target
	rare   map[int][]closer // the same of functions that run seldom, which stay
	shared map[hookID]*sharedHook
	usage  *ebpf.Memory   // struct usage by the low bits of the pid
	calls  calls          // the programs on system calls, while there are loops
	lag    lagging        // the programs on sockets, likewise
	loops  map[int32]bool // by tid
	leave  sync.WaitGroup
	raw    ringbuf.Record
	looks  uint32
}

type closer interface{ Close() error }

// Open loads the programs and attaches those that need no target: scheduling
// and CPU samples. Until a target is added they record nothing.
func Open(o Options) (*Session, error) {
	if err := CheckKernel(); err != nil { // before its errors, which can look like a lack of privileges
		return nil, err
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no kernel BTF at /sys/kernel/btf/vmlinux: %w: %s, built with CONFIG_DEBUG_INFO_BTF=y", ErrKernel, needed)
	}
	s := &Session{multi: haveMulti(), hooks: map[int][]closer{}, rare: map[int][]closer{}, shared: map[hookID]*sharedHook{}, loops: map[int32]bool{}}
	if err := s.load(o); err != nil {
		return nil, err
	}
	if err := s.attachAlways(o.SampleHz); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Session) load(o Options) error {
	spec, err := loadBpf()
	if err != nil {
		return fmt.Errorf("read BPF objects: %w", err)
	}
	s.spec, s.types = spec, btf.NewCache()
	defer func() { s.types = nil }() // megabytes
	if err := setLoops(spec, o); err != nil {
		return err
	}
	if !s.multi {
		for _, p := range spec.Programs {
			if p.AttachType == ebpf.AttachTraceUprobeMulti {
				p.AttachType = ebpf.AttachNone
			}
		}
	}
	if err := s.loadWithRing(spec, o.RingBytes); err != nil {
		return loadError(err)
	}
	if s.usage, err = s.objs.Usages.Memory(); err != nil {
		s.objs.Close()
		return fmt.Errorf("map the counters of hits: %w", err)
	}
	s.ring, err = ringbuf.NewReader(s.objs.Ring)
	if err != nil {
		s.objs.Close()
		return fmt.Errorf("open ring buffer: %w", err)
	}
	if !o.NoLoops {
		s.calls.prepare(s)
		s.lag.load(s)
	}
	return nil
}

func loadError(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("load BPF programs: %w (%w): run as root (sudo), or grant CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE", ErrPermission, err)
	}
	if errors.Is(err, unix.ENOMEM) {
		return fmt.Errorf("load BPF programs: %w: raise the memory limit of this process's cgroup; 64 MB are enough", err)
	}
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("load BPF programs: %w (%w): %s, this is %s", ErrKernel, err, needed, Kernel())
	}
	return fmt.Errorf("load BPF programs: %w: please report this with the output of `gilscope doctor`", err)
}

// always are the tracing programs that serve all targets.
func (s *Session) always() []*ebpf.Program {
	return []*ebpf.Program{
		s.objs.SchedProcessExit, s.objs.SchedProcessExec, s.objs.SchedProcessFork,
		s.objs.SchedWaking, s.objs.SchedSwitch,
	}
}

// attachAlways attaches the programs that serve all targets.
func (s *Session) attachAlways(hz int) error {
	for _, p := range s.always() {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return fmt.Errorf("attach %s: %w: needs CAP_BPF and CAP_PERFMON, run as root", p, permission(err))
		}
		s.links = append(s.links, l)
	}
	if hz <= 0 {
		return nil
	}
	samplers, err := attachSamplers(s.objs.CpuSample, hz)
	s.links = append(s.links, samplers...)
	return err
}

func permission(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w (%w)", ErrPermission, err)
	}
	return err
}

// Read appends to the batch what the ring holds, waiting up to timeout when it
// holds nothing; the batch then yields its records in time order.
func (s *Session) Read(b *Batch, timeout time.Duration) error {
	b.begin()
	b.read = boottime()
	s.ring.SetDeadline(time.Now().Add(timeout))
	err := s.ring.ReadInto(&s.raw)
	for err == nil {
		b.add(s.raw.RawSample)
		if len(b.arena) >= maxBatch || s.ring.AvailableBytes() == 0 {
			break
		}
		err = s.ring.ReadInto(&s.raw)
	}
	b.empty = s.ring.AvailableBytes() == 0
	b.sort()
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, ringbuf.ErrFlushed) {
		return fmt.Errorf("read ring buffer: %w", err)
	}
	return nil
}

// boottime is the clock of the records.
func boottime() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // then only the records themselves tell the time
	}
	return uint64(ts.Nano())
}

// maxBatch bounds the memory of a batch.
const maxBatch = 8 << 20

// Wake ends a Read that waits, from another goroutine.
func (s *Session) Wake() error {
	if err := s.ring.Flush(); err != nil {
		return fmt.Errorf("wake the reader: %w", err)
	}
	return nil
}

// Counts are the records of one CPU; Produced = those in the ring or read + Lost.
type Counts = bpfCounts

// Counts returns them by CPU. They are exact once the session is detached.
func (s *Session) Counts() ([]Counts, error) {
	var c []Counts
	if err := s.objs.Counters.Lookup(uint32(0), &c); err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	return c, nil
}

// Look is Counts; from then on FirstLost and LastLost are of what is lost later.
// If nothing is, they stay, and their Look is older than the session's.
func (s *Session) Look() ([]Counts, error) {
	c, err := s.Counts()
	if err != nil {
		return nil, err
	}
	s.looks++
	if err := s.objs.Look.Set(s.looks); err != nil {
		return nil, fmt.Errorf("begin to count anew: %w", err)
	}
	return c, nil
}

// Silence makes the programs tell nothing more: they have no targets. To detach
// them takes the kernel up to seconds, in which a busy target would fill the ring.
func (s *Session) Silence() error {
	s.silenceLag()
	var pid uint32
	var pids []uint32
	var skipped []byte
	for it := s.objs.Targets.Iterate(); it.Next(&pid, &skipped); {
		pids = append(pids, pid)
	}
	for _, pid := range pids {
		if err := s.objs.Targets.Delete(pid); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("end the recording of pid %d: %w", pid, err)
		}
	}
	return nil
}

// Detach ends all recording; what the ring holds can still be read.
func (s *Session) Detach() error {
	var errs []error
	for pid := range s.hooks {
		errs = append(errs, s.Unhook(pid))
	}
	errs = append(errs, s.calls.leave(), s.lag.leave())
	for pid := range s.rare {
		errs = append(errs, s.UnhookRare(pid))
	}
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	s.links = nil
	s.leave.Wait()
	return errors.Join(errs...)
}

// Close detaches and frees everything.
func (s *Session) Close() error {
	err := s.Detach()
	return errors.Join(err, s.calls.close(), s.lag.close(), s.ring.Close(), s.objs.Close())
}
