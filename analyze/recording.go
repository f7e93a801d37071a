package analyze

import (
	"fmt"

	"gilscope/internal/trace"
)

var recordingAnalyzer = Analyzer{
	Name: "recording",
	Doc: "How long and at which detail was recorded, whether the recorder finished, and how many events were lost. " +
		"With losses every sum below is an estimate.",
	Run: runRecording,
}

func runRecording(tl *Timeline, r *Report) {
	t := tl.Trace
	rec := Recording{DurationNS: tl.NS(), Detail: known(tl.Detail()), Complete: t.Complete, LostEvents: lost(t), Losses: losses(tl)}
	if end, ok := lastNote(t, trace.NoteEnd, 0); ok {
		if v, ok := number(end, "probe_hits"); ok {
			rec.ProbeHits = &v
		}
		if v, ok := number(end, "ns_per_hit"); ok {
			ns := float64(v)
			rec.NSPerHit = &ns
		}
		if v, ok := number(end, "overhead_ppm"); ok {
			share := float64(v) / 1e6
			rec.OverheadShare = &share
		}
	}
	for _, n := range t.Notes {
		if since, ok := number(n, "since_ns"); ok && n.Name == trace.NoteLoopsOff {
			rec.LoopsOffNS += max(int64(n.Time)-max(since, int64(tl.Start)), 0)
		}
	}
	r.Recording = rec
	if !tl.Sched {
		r.Skipped = append(r.Skipped, Skipped{"thread states", "the trace has no scheduling events"})
	}
}

// lost is the number of lost events: the total of the closing note, or the sum
// of the notes in between if the recorder did not get to its total.
func lost(t *trace.Trace) int64 {
	var sum, total int64
	for _, n := range t.Notes {
		switch n.Name {
		case trace.NoteLost:
			v, _ := number(n, "events")
			sum += max(v, 0)
		case trace.NoteEnd:
			v, _ := number(n, "lost")
			total = max(total, v)
		}
	}
	return max(sum, total)
}

var lostAnalyzer = Analyzer{
	Name: "recording.lost",
	Doc: "Events were lost, or the recorder did not finish. A lost event can make a wait too long or hide it, " +
		"so a budget on such a recording is inconclusive.",
	Run: runLost,
}

func runLost(tl *Timeline, r *Report) {
	if n := r.Recording.LostEvents; n > 0 {
		stored := int64(len(tl.Trace.Events))
		f := Finding{
			Rule: "recording.lost", Severity: Warning, Title: fmt.Sprintf("%d events were lost", n),
			Advice:   "Record a shorter time, fewer processes, or with --detail waits; then compare.",
			Evidence: fmt.Sprintf("%d events kept, %d lost (%.2f%%)", stored, n, 100*float64(n)/float64(n+stored)),
		}
		if n*10 >= stored {
			f.Severity = Error
		}
		r.Findings = append(r.Findings, f)
	}
	if !r.Recording.Complete {
		r.Findings = append(r.Findings, Finding{
			Rule: "recording.cut", Severity: Warning, Title: "the trace has no end",
			Advice:   "The recorder was killed or the file was cut. What is here is true; record again for the rest.",
			Evidence: fmt.Sprintf("the last event is %.3f s after the first", float64(tl.NS())/1e9),
		})
	}
}
