package analyze

import (
	"fmt"

	"gilscope/internal/trace"
)

var pausesAnalyzer = Analyzer{
	Name: "world.pauses",
	Doc:  "Stop-the-world pauses that cost other threads much, with what to do about them. The cost is the time for which threads were stopped.",
	Run:  runPauses,
}

func runPauses(tl *Timeline, r *Report) {
	var found []Finding
	for i := range r.StopTheWorld {
		row := &r.StopTheWorld[i]
		var cost int64
		for _, t := range row.Threads {
			cost += t.StoppedNS
		}
		if !tl.worth(cost) {
			continue
		}
		pid := row.PID
		found = append(found, Finding{
			Rule: "world.pauses", Severity: tl.severity(cost), CostNS: cost, PID: &pid, TID: row.Requester.TID, Site: row.Requester.Site,
			Title: fmt.Sprintf("all threads are stopped, for %s, by %s", row.Reason, partyLabel(&row.Requester)),
			Evidence: fmt.Sprintf("%d pauses, %s in all, the longest %s; %d threads were stopped for %s together",
				row.Pauses, ms(row.PauseNS), ms(row.PauseMax), len(row.Threads), ms(cost)),
			Advice: pauseAdvice[row.Reason],
		})
	}
	r.find(found)
}

// pauseAdvice says what to do about pauses, by reason.
var pauseAdvice = map[string]string{
	trace.WorldGC.String():         "Make fewer objects that stay, and call gc.freeze() once what stays is made; raise gc.set_threshold; do not call gc.collect() in a loop.",
	trace.WorldImport.String():     "Import extension modules before the threads begin.",
	trace.WorldType.String():       "Do not assign to __class__, nor change classes, while threads run.",
	trace.WorldFork.String():       "Start processes before the threads begin, or by spawn or a fork server.",
	trace.WorldExit.String():       "The interpreter ends: join the threads before.",
	trace.WorldTracing.String():    "Set trace, profile and monitoring functions once, before the threads begin.",
	trace.WorldInspection.String(): "Look at all objects or frames (gc.get_objects, sys._current_frames) less often.",
	trace.WorldMemory.String():     "The interpreter frees memory that threads shared. Share less, or free it in larger pieces.",
	trace.WorldUnknown.String():    "See what that line does: a collection of garbage, an import, a fork, or a change of a class stops all threads.",
}
