package probes

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// LagTold is how long data waited for a loop since it was last told of; bpf/wire.h
// explains its fields.
type LagTold = bpfLagTold

const lagToldSize = int(unsafe.Sizeof(LagTold{}))

// Lag is what a record of KindLag tells; nil if it has none.
func (r *Record) Lag() *LagTold {
	if r.Kind != KindLag || len(r.Stack) < lagToldSize {
		return nil
	}
	return (*LagTold)(unsafe.Pointer(&r.Stack[0]))
}

// The buckets of LagTold, see LAG_FIRST and what follows it in bpf/wire.h.
const (
	lagFirst   = 10
	lagParts   = 8
	lagBuckets = len(LagTold{}.Buckets)
)

// LagBelow is the time, ns, that what a bucket of LagTold counts stays below; 0: it has no such bound.
func LagBelow(bucket int) int64 {
	if bucket >= lagBuckets-1 {
		return 0
	}
	octave, part := bucket/lagParts, bucket%lagParts
	return (lagParts + int64(part)) << (lagFirst + octave) / lagParts
}

// LagCost is what it costs to know how long data waits for loops.
type LagCost struct {
	Others time.Duration // to send a packet to a socket and read it, for all who are no loops
	Loop   time.Duration // the same where a loop reads it
}

// lagging are the programs that see when data is ready in a socket, and when it is
// read. They are attached while there is a loop.
type lagging struct {
	objs  bpfSockObjects
	why   error // what keeps them from seeing anything
	links []closer
	cost  LagCost
	// How long it takes without them to pass a packet.
	without time.Duration
	last    map[int32]LagTold // by tid, once the session is silent
}

// load loads the programs, or finds out that they cannot be had.
func (g *lagging) load(s *Session) {
	if g.why = lagError(g.tryLoad(s)); g.why != nil {
		return
	}
	measured, err := newPair()
	if err != nil {
		g.why = err
		return
	}
	defer measured.close()
	g.without = measured.fastest()
}

func (g *lagging) tryLoad(s *Session) error {
	spec, err := loadBpfSock()
	if err != nil {
		return err
	}
	return spec.LoadAndAssign(&g.objs, &ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{bpfSockMapLags: s.objs.Lags}, Cache: s.types})
}

// lagError says in few words, for a trace, why the programs cannot be had.
func lagError(err error) error {
	if errors.Is(err, ebpf.ErrNotSupported) && KernelBefore(6, 3) {
		return fmt.Errorf("%s has no tracepoints for it; Linux 6.3 has: %w", Kernel(), ErrKernel)
	}
	if err != nil {
		return fmt.Errorf("load programs for sockets: %w", permission(err))
	}
	return nil
}

// attach attaches the programs if they are not.
func (g *lagging) attach() {
	if g.why == nil && len(g.links) == 0 {
		g.why = g.link()
	}
}

// measure finds out what the attached programs cost.
func (g *lagging) measure(s *Session) {
	measured, err := newPair()
	if err != nil {
		g.why = err
		return
	}
	defer measured.close()
	g.cost.Others = max(measured.fastest()-g.without, leastCost)
	g.cost.Loop = max(measured.asLoop(s)-g.without, leastCost)
}

func (g *lagging) link() error {
	for _, p := range []*ebpf.Program{g.objs.LagReady, g.objs.LagRead, g.objs.LagConnects} {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return errors.Join(fmt.Errorf("attach %s: %w", p, permission(err)), g.leave())
		}
		g.links = append(g.links, l)
	}
	return nil
}

// leave takes the programs off.
func (g *lagging) leave() error {
	var errs []error
	for _, l := range g.links {
		errs = append(errs, l.Close())
	}
	g.links = nil
	return errors.Join(errs...)
}

func (g *lagging) close() error {
	err := g.leave()
	if g.objs.LagReady == nil { // not loaded
		return err
	}
	return errors.Join(err, g.objs.Close())
}

// pair is two connected sockets of our own.
type pair [2]int

func newPair() (*pair, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make sockets to measure the cost of programs: %w", err)
	}
	return (*pair)(&fds), nil
}

// pass sends a packet and reads it.
func (p *pair) pass(uintptr) {
	var b [1]byte
	_, _ = unix.Write(p[0], b[:]) // only the time counts
	_, _ = unix.Read(p[1], b[:])
}

// fastest is how long pass takes at best. In between, the machine may be slower for milliseconds.
func (p *pair) fastest() time.Duration {
	best := time.Hour
	for range 3 {
		best = min(best, shortest(p.pass, 0))
	}
	return best
}

// asLoop is how long pass takes for a loop: for as long, this thread is one.
func (p *pair) asLoop(s *Session) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := int32(unix.Gettid())
	s.watchLag(int32(os.Getpid()), tid)
	defer s.forgetLag(tid)
	return p.fastest()
}

func (p *pair) close() {
	unix.Close(p[0])
	unix.Close(p[1])
}

// watchLag begins to count the lag of a loop.
func (s *Session) watchLag(pid, tid int32) {
	l := bpfLag{Tgid: uint32(pid), Told: LagTold{Since: boottime()}}
	if err := s.objs.Lags.Update(uint32(tid), &l, ebpf.UpdateAny); err != nil {
		s.lag.why = fmt.Errorf("count the lag of thread %d: %w", tid, err)
	}
}

func (s *Session) forgetLag(tid int32) {
	_ = s.objs.Lags.Delete(uint32(tid)) // who is not there is forgotten
}

// Lag is what was not told yet of the lag of a loop; false: it is not counted.
func (s *Session) Lag(tid int32) (LagTold, bool) {
	if told, ok := s.lag.last[tid]; ok {
		return told, true
	}
	var l bpfLag
	if s.objs.Lags.Lookup(uint32(tid), &l) != nil {
		return LagTold{}, false
	}
	return l.Told, true
}

// silenceLag keeps what was not told yet: the programs count on until they are detached,
// which is after the end of the recording.
func (s *Session) silenceLag() {
	s.lag.last = map[int32]LagTold{}
	for tid := range s.loops {
		if told, ok := s.Lag(tid); ok {
			s.lag.last[tid] = told
			s.forgetLag(tid)
		}
	}
}

// LagPackets is how often sockets were read by each CPU, while it is known how long data waits.
func (s *Session) LagPackets() ([]uint64, error) {
	var n []uint64
	if err := s.lag.objs.Packets.Lookup(uint32(0), &n); err != nil {
		return nil, fmt.Errorf("read how often sockets are read: %w", err)
	}
	return n, nil
}

// LeaveLag ends it, for the rest of the session and for a reason that LagCost then gives.
func (s *Session) LeaveLag(why error) {
	s.lag.why = why
	_ = s.lag.leave() // what is left of them goes with the session
	for tid := range s.loops {
		s.forgetLag(tid)
	}
}

// LagCost is what it costs to know the lag of loops, measured the first time somebody
// asks, or why it cannot be known.
func (s *Session) LagCost() (LagCost, error) {
	if g := &s.lag; g.why == nil && len(g.links) > 0 && g.cost == (LagCost{}) {
		g.measure(s)
	}
	return s.lag.cost, s.lag.why
}
