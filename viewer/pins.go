package viewer

import (
	"cmp"
	"fmt"
	"slices"

	"gilscope/analyze"
)

// Pin says which tracks the Perfetto UI is to keep on top.
type Pin struct {
	Regex string
	Path  bool // Regex is about the path, such as "python3 42 > GIL > GIL holder"; needs a UI younger than v52
}

// maxPinned is how many processes have their GIL tracks on top: more would leave
// no room below them.
const maxPinned = 8

// Pins are the tracks of a trace that are worth the top of the page: event loops and all about
// the GIL if it is of one process; otherwise those of the GILs themselves. Of
// more than maxPinned processes, the ones that waited longest are chosen, which
// takes paths: the names of their tracks are all alike.
func Pins(tl *analyze.Timeline) []Pin {
	waited := map[int32]int64{}
	var pids []int32
	for i := range tl.GILs {
		g := &tl.GILs[i]
		ns, seen := waited[g.PID]
		if !seen {
			pids = append(pids, g.PID)
		}
		for _, w := range g.Waits {
			ns += w.NS()
		}
		waited[g.PID] = ns
	}
	switch {
	case len(pids) < 2:
		var pins []Pin
		if tl.HasLoops() {
			pins = append(pins, Pin{Regex: "^loop [0-9]"}, Pin{Regex: "^loop busy %"})
		}
		if tl.HasExecutors() {
			pins = append(pins, Pin{Regex: "^executor (queue|busy workers)"})
		}
		return append(pins, Pin{Regex: "^GIL"})
	case len(pids) <= maxPinned:
		return []Pin{{Regex: "^GIL (holder|waiters|busy)"}}
	}
	slices.SortStableFunc(pids, func(x, y int32) int { return cmp.Compare(waited[y], waited[x]) })
	var pins []Pin
	for _, pid := range pids[:maxPinned] {
		pins = append(pins, Pin{fmt.Sprintf("^[^>]* %d > GIL[^>]* > GIL", pid), true})
	}
	return pins
}

// pinCommand is a startup command of the Perfetto UI.
type pinCommand struct {
	ID   string   `json:"id"`
	Args []string `json:"args"`
}

func (p Pin) command() pinCommand {
	c := pinCommand{"dev.perfetto.PinTracksByRegex", []string{p.Regex}}
	if p.Path {
		c.Args = append(c.Args, "path")
	}
	return c
}
