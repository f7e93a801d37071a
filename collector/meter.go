package collector

import (
	"fmt"
	"io"
	"time"

	"gilscope/internal/trace"
)

// meter measures what the recording costs: how long the programs run, by
// samples of time in which the kernel measures it, and how often probes were hit.
type meter struct {
	on       io.Closer // while the kernel measures
	since    time.Time
	base     time.Duration // run time when it began to
	next     time.Time
	measured time.Duration // time in which the kernel measured,
	ran      time.Duration // and what the programs ran in it
	hitNS    float64       // cost of all hits of the probes
	hits     int64
	failed   bool // the kernel does not let us measure (needs CAP_SYS_ADMIN)
}

// How long the kernel measures at a time, and how often. Measuring slows each
// run down by some 20 ns. To begin takes CAP_SYS_ADMIN, which is given up when
// all is attached, so as a rule the first time is the only one.
const (
	meterFor   = 5 * time.Second
	meterEvery = 20 * time.Second
)

// tick begins or ends a sample when that is due.
func (s *session) tick() {
	m := &s.meter
	switch {
	case m.on != nil && time.Since(m.since) >= meterFor:
		s.stopMeter()
	case m.on == nil && !m.failed && !time.Now().Before(m.next):
		on, err := s.probes.MeasureRunTime()
		if m.failed = err != nil; !m.failed {
			m.on, m.since, m.base = on, time.Now(), s.probes.RunTime()
		}
	}
}

func (s *session) stopMeter() {
	m := &s.meter
	if m.on == nil {
		return
	}
	m.ran += s.probes.RunTime() - m.base
	m.measured += time.Since(m.since)
	m.on.Close()
	m.on, m.next = nil, time.Now().Add(meterEvery)
}

// charge adds the hits of a process, at the end of its recording or of a level.
func (s *session) charge(p *process) {
	hits := s.probes.Hits(int(p.pid))
	n := hits - min(p.charged, hits)
	p.charged = hits
	s.meter.add(n, s.hitCost(p.plan))
	s.meter.add(p.rares.charged.of(s.probes.RareHits(int(p.pid))), s.rareCost(p))
}

func (m *meter) add(hits uint64, each time.Duration) {
	m.hits += int64(hits)
	m.hitNS += float64(hits) * float64(each)
}

// cost is what the recording cost those recorded, as a share of one CPU: the
// programs on context switches, and the probes; negative: not known.
func (m *meter) cost(over time.Duration) (switches, probes float64) {
	switches, probes = -1, -1
	if m.measured > 0 {
		switches = float64(m.ran) / float64(m.measured)
	}
	if over > 0 {
		probes = m.hitNS / float64(over)
	}
	return switches, probes
}

// costArgs are what the closing note says of the cost.
func (s *session) costArgs(over time.Duration) []trace.Arg {
	m := &s.meter
	var args []trace.Arg
	if m.hits > 0 {
		args = append(args, trace.Arg{Key: "ns_per_hit", Num: int64(m.hitNS / float64(m.hits))})
	}
	switches, probes := m.cost(over)
	if switches >= 0 && probes >= 0 {
		args = append(args, trace.Arg{Key: "overhead_ppm", Num: int64((switches + probes) * 1e6)})
	}
	return args
}

// sayCost tells people.
func (s *session) sayCost(over time.Duration) {
	switches, probes := s.meter.cost(over)
	text := "not measured (needs CAP_SYS_ADMIN)"
	if switches >= 0 {
		text = fmt.Sprintf("%.2f%%", switches*100)
	}
	recorder := float64(cpuTime()) / float64(max(over, 1))
	fmt.Fprintf(s.o.Words, "cost, of one CPU: context switches and system calls %s, probes %.2f%% (%d hits), the recorder itself %.1f%%\n",
		text, probes*100, s.meter.hits, recorder*100)
}
