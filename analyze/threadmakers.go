package analyze

import (
	"cmp"
	"fmt"
	"slices"

	"gilscope/internal/trace"
)

// ThreadMaker is a line that made threads while recorded, and how these lived.
type ThreadMaker struct {
	PID       int32    `json:"pid"`
	Site      *SiteRow `json:"site"` // null: not known
	Threads   int64    `json:"threads"`
	Ended     int64    `json:"ended"`        // of threads, those that ended while recorded
	SpanNS    int64    `json:"span_ns"`      // from when the first was made to when the last was
	PerSecond float64  `json:"per_s"`        // threads a second of that, or of a second if it is less
	LifeP50NS *int64   `json:"life_p50_ns"`  // null: half of them or more did not end
	AtOnce    int64    `json:"at_once"`      // most that lived at one time
	ToPython  int64    `json:"to_python_ns"` // from when they were made to when each ran Python, as far as seen, in all
	python    int64    // threads that were seen to run Python
	lives     []int64
	spans     []span
}

var threadMakersAnalyzer = Analyzer{
	Name: "thread.churn",
	Doc: "Lines that make many threads which live shortly and one after the other: at least 20 threads, more than 20 a second, with a median life below 100 ms, of which never more than a fourth " +
		"lived at once. The cost is the time from when each was made until it ran Python.",
	Run: runThreadMakers,
}

// What makes threads churn.
const (
	churnThreads = 20
	churnPerS    = 20
	churnLifeNS  = 100_000_000
	churnReuse   = 4 // threads for each that lives at once
)

type makerKey struct {
	pid  int32
	site string
}

func runThreadMakers(tl *Timeline, r *Report) {
	makers := map[makerKey]*ThreadMaker{}
	for i := range r.Threads {
		if t := &r.Threads[i]; t.StartedNS != nil && t.TID != t.PID {
			t.madeBy(makers, tl.End)
		}
	}
	for _, m := range makers {
		m.finish()
		r.ThreadMakers = append(r.ThreadMakers, *m)
	}
	slices.SortFunc(r.ThreadMakers, func(x, y ThreadMaker) int {
		return cmp.Or(cmp.Compare(y.Threads, x.Threads), cmp.Compare(x.PID, y.PID), cmp.Compare(textOf(x.Site), textOf(y.Site)))
	})
	var found []Finding
	for i := range r.ThreadMakers {
		if m := &r.ThreadMakers[i]; m.churns() {
			found = append(found, m.finding(tl))
		}
	}
	r.find(found)
}

// madeBy counts a thread for the line that made it.
func (row *ThreadRow) madeBy(makers map[makerKey]*ThreadMaker, end trace.Time) {
	var site *SiteRow
	if row.CreatedBy != nil {
		site = row.CreatedBy.Site
	}
	key := makerKey{row.PID, textOf(site)}
	m := makers[key]
	if m == nil {
		m = &ThreadMaker{PID: row.PID, Site: site}
		makers[key] = m
	}
	m.Threads++
	life := span{trace.Time(*row.StartedNS), end}
	if row.EndedNS != nil {
		life.to = trace.Time(*row.EndedNS)
		m.Ended++
		m.lives = append(m.lives, int64(life.to-life.from))
	}
	m.spans = append(m.spans, life)
	if row.RanPythonNS != nil {
		m.python++
		m.ToPython += *row.RanPythonNS - *row.StartedNS
	}
}

func (m *ThreadMaker) finish() {
	slices.SortFunc(m.spans, func(x, y span) int { return cmp.Compare(x.from, y.from) })
	m.SpanNS = int64(m.spans[len(m.spans)-1].from - m.spans[0].from)
	m.PerSecond = float64(m.Threads) / max(float64(m.SpanNS)/1e9, 1)
	if slices.Sort(m.lives); 2*m.Ended > m.Threads { // those that did not end live longer
		p50 := m.lives[(m.Threads-1)/2]
		m.LifeP50NS = &p50
	}
	var ends []trace.Time
	for _, s := range m.spans {
		ends = append(ends, s.to)
	}
	slices.Sort(ends)
	gone := 0
	for i, s := range m.spans {
		for gone < len(ends) && ends[gone] <= s.from {
			gone++
		}
		m.AtOnce = max(m.AtOnce, int64(i+1-gone))
	}
}

// brief says that threads of this line live for a short time only.
func (m *ThreadMaker) brief() bool { return m.LifeP50NS != nil && *m.LifeP50NS < churnLifeNS }

// churns says that a pool would do; threads of a C library it does not concern.
func (m *ThreadMaker) churns() bool {
	return m.python > 0 && m.brief() && m.Threads >= churnThreads && m.PerSecond > churnPerS && m.Threads >= churnReuse*m.AtOnce
}

func (m *ThreadMaker) finding(tl *Timeline) Finding {
	pid, where := m.PID, "a line that is not known"
	if m.Site != nil {
		where = siteText(m.Site)
	}
	return Finding{
		Rule: "thread.churn", Severity: tl.severity(m.ToPython), CostNS: m.ToPython, PID: &pid, Site: m.Site,
		Title:    fmt.Sprintf("%d threads were made by %s in %.3g s, each lived %s", m.Threads, where, float64(m.SpanNS)/1e9, ms(*m.LifeP50NS)),
		Evidence: fmt.Sprintf("%.0f a second, a median life of %s, never more than %d at once; until they ran Python it took %s in all", m.PerSecond, ms(*m.LifeP50NS), m.AtOnce, ms(m.ToPython)),
		Advice: fmt.Sprintf("Keep threads and give them the work, one piece after the other: a concurrent.futures.ThreadPoolExecutor(max_workers=%d) would do here, "+
			"made once and used for all.", m.AtOnce),
	}
}

// threadMetrics are about how threads come and go.
var threadMetrics = []Metric{
	{"threads.churn", "threads a second that one line made, of which half lived for less than 100 ms, at most", Count, func(r *Report) (got reading) {
		for i := range r.ThreadMakers {
			if m := &r.ThreadMakers[i]; m.brief() {
				got.value = max(got.value, m.PerSecond)
			}
		}
		return got
	}},
}
