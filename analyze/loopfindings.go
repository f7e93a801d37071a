package analyze

import (
	"cmp"
	"fmt"
	"slices"
)

var blocksAnalyzer = Analyzer{
	Name: "loop.blocks",
	Doc: "Blocks of event loops, by cause and line, with what to do about it. The cost is the time in which the loop served nobody else. " +
		"With the causes gil, gc and runqueue the code that ran in the loop is innocent.",
	Run: runBlocks,
}

var overloadAnalyzer = Analyzer{
	Name: "loop.overload",
	Doc: "A loop that is busy nearly all the time though no iteration is long: there is more work than one thread can do. " +
		"The cost is the time it was busy outside of blocks.",
	Run: runOverload,
}

// overloadShare is from which utilization on a loop is overloaded.
const overloadShare = 0.9

// blockGroup is all blocks of a loop for one cause on one line.
type blockGroup struct {
	loop    *LoopRow
	first   *BlockRow
	longest *BlockRow
	n, ns   int64
}

func runBlocks(_ *Timeline, r *Report) {
	for i := range r.Loops {
		row := &r.Loops[i]
		index := map[string]*blockGroup{}
		var groups []*blockGroup
		for k := range row.Blocks {
			b := &row.Blocks[k]
			key := b.Cause + " " + b.where()
			if b.Culprit != nil {
				key = b.Cause + " " + partyLabel(b.Culprit)
			}
			g := index[key]
			if g == nil {
				g = &blockGroup{loop: row, first: b, longest: b}
				index[key], groups = g, append(groups, g)
			}
			g.n++
			g.ns += b.DurationNS
			if b.DurationNS > g.longest.DurationNS {
				g.longest = b
			}
		}
		slices.SortStableFunc(groups, func(x, y *blockGroup) int { return cmp.Compare(y.ns, x.ns) })
		var found []Finding
		for _, g := range groups {
			found = append(found, g.finding(r))
		}
		r.find(found)
	}
}

// where names the line of a block, or what is known instead.
func (b *BlockRow) where() string {
	switch {
	case b.Site != nil:
		return siteText(b.Site)
	case b.Coroutine != nil:
		return *b.Coroutine
	}
	return "an unknown line"
}

func siteText(s *SiteRow) string {
	text := ""
	if s.Function != nil {
		text = *s.Function
	}
	if s.File != nil && s.Line != nil {
		text += fmt.Sprintf(" (%s:%d)", *s.File, *s.Line)
	}
	return text
}

func partyLabel(p *Party) string {
	name := p.Name
	if p.TID != nil {
		name = fmt.Sprintf("%s (tid %d)", p.Name, *p.TID)
	}
	if p.Site != nil {
		name += " at " + siteText(p.Site)
	}
	return name
}

// finding puts a group into words.
func (g *blockGroup) finding(r *Report) Finding {
	b, tid, pid := g.longest, g.loop.TID, g.loop.PID
	title, advice := g.words()
	f := Finding{
		Rule: "loop." + b.Cause, Severity: Warning, Title: title, CostNS: g.ns, PID: &pid, TID: &tid, Site: b.Site, Advice: advice,
		Evidence: fmt.Sprintf("%d blocks of the %s loop, %s in all, the longest %s", g.n, g.loop.Kind, ms(g.ns), ms(b.DurationNS)),
	}
	if g.n == 1 {
		f.Evidence = fmt.Sprintf("one block of the %s loop, %s", g.loop.Kind, ms(b.DurationNS))
	}
	if s := b.Split; s != nil {
		f.Evidence += fmt.Sprintf(": on CPU %s, waiting for the GIL %s, blocked %s, without a CPU %s", ms(s.OnCPUNS), ms(s.GILWaitNS), ms(s.BlockedNS), ms(s.RunnableNS))
		if s.GCNS != nil && *s.GCNS > 0 {
			f.Evidence += ", collecting garbage " + ms(*s.GCNS)
		}
	}
	if b.Culprit != nil && b.Culprit.Site != nil {
		f.Site = b.Culprit.Site
	}
	if float64(g.ns) < worthShare*float64(r.Recording.DurationNS) {
		f.Severity = Info
	}
	return f
}

// words are the title and the advice for a cause.
func (g *blockGroup) words() (title, advice string) {
	b := g.longest
	where := b.where()
	call := ""
	if b.Syscall != nil {
		call = " in " + *b.Syscall
		if b.File != nil {
			call += " on a " + *b.File
		}
	}
	switch b.Cause {
	case "cpu":
		return fmt.Sprintf("%s computes in the event loop, %s", where, ms(b.DurationNS)),
			"Move it to a process (loop.run_in_executor with a ProcessPoolExecutor), or to asyncio.to_thread if it is native code that releases the GIL; " +
				"or cut it into pieces with `await asyncio.sleep(0)` in between."
	case "sleep":
		return fmt.Sprintf("%s sleeps in the event loop, %s", where, ms(b.DurationNS)), "Use `await asyncio.sleep()`, or asyncio.to_thread for code that cannot be changed."
	case "dns":
		return fmt.Sprintf("%s looks up a host in the event loop, %s", where, ms(b.DurationNS)), "Use `await loop.getaddrinfo()`, or a client library that is asynchronous."
	case "file":
		return fmt.Sprintf("%s reads or writes a file in the event loop%s, %s", where, call, ms(b.DurationNS)), "Do it in a thread: `await asyncio.to_thread(...)`."
	case "lock":
		return fmt.Sprintf("%s waits for a lock in the event loop, %s", where, ms(b.DurationNS)),
			"Use asyncio.Lock among coroutines. If threads share the lock, take it in asyncio.to_thread, or hold it for shorter."
	case "gil":
		return g.gilWords()
	case "gc":
		return fmt.Sprintf("the garbage collector stops the event loop for %s; the code that ran, %s, is innocent", ms(b.DurationNS), where),
			"Call gc.freeze() once the program has started, raise the thresholds of gc.set_threshold(), keep fewer objects that refer to each other, or collect when the loop is idle."
	case "runqueue":
		return fmt.Sprintf("the event loop has no CPU for %s; the code that ran, %s, is innocent", ms(b.DurationNS), where),
			"The machine, or the container's share of it, is too small for what runs on it: give it more CPU, or run less beside it."
	}
	return fmt.Sprintf("%s blocks the event loop%s, %s", where, call, ms(b.DurationNS)),
		"Use an asynchronous client library, or do the call in a thread: `await asyncio.to_thread(...)`."
}

func (g *blockGroup) gilWords() (title, advice string) {
	b := g.longest
	who := "another thread"
	if b.Culprit != nil {
		who = partyLabel(b.Culprit)
	}
	return fmt.Sprintf("the event loop is innocent: for %s it waits for the GIL, which %s holds", ms(b.DurationNS), who),
		"Move that thread's work to a process, or use native code that releases the GIL; nothing in the loop needs to change."
}

func runOverload(tl *Timeline, r *Report) {
	for i := range r.Loops {
		row := &r.Loops[i]
		if row.Utilization == nil || *row.Utilization < overloadShare || row.BlockedNS*2 >= row.BusyNS || !tl.worth(row.BusyNS) {
			continue
		}
		pid, tid := row.PID, row.TID
		r.Findings = append(r.Findings, Finding{
			Rule: "loop.overload", Severity: Warning, CostNS: row.BusyNS - row.BlockedNS, PID: &pid, TID: &tid,
			Title: fmt.Sprintf("the event loop of %s is busy %.0f%% of the time, with many small pieces of work", tl.threadLabel(pid, tid), 100**row.Utilization),
			Advice: "No single callback is to blame: there is more work than one thread can do. Run more processes (workers), " +
				"do less for each event, or look for a task that wakes itself again and again. A CPU profile shows what the time goes to: gilscope export --to pprof --type cpu.",
			Evidence: fmt.Sprintf("%d iterations, %s each on average, %d events", row.Iterations, ms(row.BusyNS/max(row.Iterations, 1)), row.Events),
		})
	}
}
