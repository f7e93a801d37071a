package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"gilscope/internal/trace"
)

// A loss is worth a finding from a hundredth of the recording, or from 100 ms.
const (
	worthShare = 0.01
	worthNS    = 100_000_000
	leastNS    = 1_000_000
	warnShare  = 0.05
)

// worth says whether the cost is large enough to bother anybody.
func (tl *Timeline) worth(ns int64) bool {
	return ns >= leastNS && (ns >= worthNS || float64(ns) >= worthShare*float64(tl.NS()))
}

func (tl *Timeline) severity(ns int64) Severity {
	if float64(ns) >= warnShare*float64(tl.NS()) {
		return Warning
	}
	return Info
}

// maxFindings bounds the findings of one rule for one GIL: the costliest stay.
const maxFindings = 5

func (r *Report) find(found []Finding) {
	slices.SortStableFunc(found, func(x, y Finding) int { return cmp.Compare(y.CostNS, x.CostNS) })
	r.Findings = append(r.Findings, found[:min(len(found), maxFindings)]...)
}

// ms writes a duration the way the texts of findings do.
func ms(ns int64) string {
	if ns >= int64(10*time.Second) {
		return fmt.Sprintf("%.4g s", float64(ns)/float64(time.Second))
	}
	return fmt.Sprintf("%.4g ms", float64(ns)/float64(time.Millisecond))
}

// threadLabel names a thread in a text.
func (tl *Timeline) threadLabel(pid, tid int32) string {
	if name := tl.threadName(pid, tid); name != "" {
		return fmt.Sprintf("%s (tid %d)", name, tid)
	}
	return fmt.Sprintf("thread %d", tid)
}

// siteLabel names a site in a text; "" if it is not known.
func (s Site) siteLabel() string {
	switch {
	case s.Function != "" && s.Line > 0:
		return fmt.Sprintf("%s (%s:%d)", s.Function, s.File, s.Line)
	case s.Function != "":
		return s.Function
	}
	return s.Native
}

// hog is what was waited for one line after its thread had been asked to drop.
type hog struct {
	holder int32 // index in Timeline.Threads
	site   SiteID
}

type hogSum struct {
	ns, maxNS int64
	holds     int64
	last      int32 // stretch counted last
}

var hogAnalyzer = Analyzer{
	Name: "gil.hog",
	Doc: "A call that keeps the GIL for at least another switch interval after its thread was asked to drop it. Bytecode answers " +
		"a request at once, so this is a call into C code that does not release the GIL. The cost is the time others waited after the request.",
	Run: runHog,
}

func runHog(tl *Timeline, r *Report) {
	for i := range tl.GILs {
		g := &tl.GILs[i]
		sums := tl.hogs(g, intervalOr(r.GIL[i].SwitchIntervalNS))
		var found []Finding
		for key, s := range sums {
			if tl.worth(s.ns) {
				found = append(found, tl.hogFinding(g, key, s))
			}
		}
		slices.SortFunc(found, func(x, y Finding) int { return cmp.Or(cmp.Compare(*x.TID, *y.TID), cmp.Compare(x.Title, y.Title)) })
		r.find(found)
	}
}

func (tl *Timeline) hogs(g *GIL, interval int64) map[hog]*hogSum {
	sums := make(map[hog]*hogSum)
	for _, w := range g.Waits {
		for p := range g.Pieces(w.Start, w.End, tl.Threads[w.Thread].TID) {
			if p.Holder <= 0 || !p.Asked || !tl.stays(&g.Lane[p.Stretch], interval) {
				continue
			}
			st := &g.Lane[p.Stretch]
			key := hog{holder: st.Thread}
			if p.Sample >= 0 {
				key.site = g.Samples[p.Sample].Site
			}
			s := sums[key]
			if s == nil {
				s = &hogSum{last: none}
				sums[key] = s
			}
			s.ns += p.NS()
			s.maxNS = max(s.maxNS, int64(st.End-st.Asked))
			if s.last != p.Stretch {
				s.last = p.Stretch
				s.holds++
			}
		}
	}
	return sums
}

// stays says that the holder kept the GIL for another interval after it was
// asked, and not because it lacked a CPU to drop it on.
func (tl *Timeline) stays(s *Stretch, interval int64) bool {
	if s.Thread == none || int64(s.End-s.Asked) < interval {
		return false
	}
	starved, _ := tl.Threads[s.Thread].In(Runnable, s.Asked, s.End)
	return starved*2 < int64(s.End-s.Asked)
}

// collects says that a native function ("module function") is CPython's garbage collector
// (gc_collect_main and its kin in Modules/gcmodule.c, since 3.13 in Python/gc.c).
func collects(native string) bool {
	module, function, _ := strings.Cut(native, " ")
	return isInterpreter(module) && strings.HasPrefix(function, "gc_collect")
}

func (tl *Timeline) hogFinding(g *GIL, key hog, s *hogSum) Finding {
	holder := &tl.Threads[key.holder]
	site := tl.Sites[key.site]
	where := site.siteLabel()
	if where == "" {
		where = tl.threadLabel(holder.PID, holder.TID)
	}
	title := where + " keeps the GIL after it was asked to drop it"
	advice := "A call on this line runs C code without releasing the GIL. "
	if site.Native != "" && site.Native != where {
		title = fmt.Sprintf("%s keeps the GIL inside %s", where, site.Native)
		advice = "This native function runs without releasing the GIL. "
	}
	advice += "Release it there if the code is yours (Py_BEGIN_ALLOW_THREADS, nogil in Cython), " +
		"call it with smaller pieces of work, move it to a process pool, or use a library that releases the GIL."
	if collects(site.Native) {
		title = "the garbage collector, begun at " + where + ", keeps the GIL"
		advice = pauseAdvice[trace.WorldGC.String()]
	}
	return Finding{
		Rule: "gil.hog", Severity: tl.severity(s.ns), Title: title, CostNS: s.ns,
		PID: &g.PID, TID: &holder.TID, Site: tl.row(key.site), Advice: advice,
		Evidence: fmt.Sprintf("in %d holds others waited %s after asking; the longest answer took %s", s.holds, ms(s.ns), ms(s.maxNS)),
	}
}
