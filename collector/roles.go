package collector

import (
	"hash/fnv"
	"strconv"
	"strings"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
)

// role is what a frame is to an event loop; of a stack, all that its frames are.
type role uint16

const (
	roleRunOnce       role = 1 << iota // asyncio's loop itself (asyncio/base_events.py, _run_once)
	roleTrio                           // trio's loop (trio/_core/_run.py)
	roleRunner                         // runs a loop, or a callback in it: what is above is the program's
	roleDNS                            // looks up a host (socket.py, getaddrinfo)
	roleStdlib                         // of the standard library
	rolePackage                        // of an installed package
	roleCoroutine                      // an async function
	roleCut                            // the stack goes on towards the root
	roleThreadWorker                   // the worker's loop of a ThreadPoolExecutor (concurrent/futures/thread.py, _worker)
	roleAnyioWorker                    // of anyio's threads (anyio/_backends/_asyncio.py, WorkerThread.run)
	roleProcessWorker                  // of a ProcessPoolExecutor (concurrent/futures/process.py, _process_worker)
	rolePoolWorker                     // of a multiprocessing.Pool (multiprocessing/pool.py, worker)
	roleQueueGet                       // waits for something from a queue (queue.py, multiprocessing/queues.py, get)
	roleSelector                       // waits for events on behalf of who calls it (selectors.py; trio's epoll; the hubs of gevent and eventlet, Twisted's reactors)
)

// frameAbout is what is known of a frame beside its name and line.
type frameAbout struct {
	role     role
	function string
	code     uint64 // the same for all lines of a function
}

// aboutFrame tells what a code object is to a loop.
func aboutFrame(c *cpython.Code) frameAbout {
	function := c.Function[strings.LastIndexByte(c.Function, '.')+1:]
	h := fnv.New64a()
	h.Write([]byte(c.File + "\n" + c.Function))
	a := frameAbout{function: c.Function, role: originOf(c.File), code: h.Sum64()}
	if c.Coroutine {
		a.role |= roleCoroutine
	}
	in := func(file string) bool { return strings.HasSuffix(c.File, file) }
	switch {
	case in("asyncio/base_events.py") && function == "_run_once":
		a.role |= roleRunOnce | roleRunner
	case in("asyncio/events.py") && function == "_run", in("asyncio/runners.py") && function == "run",
		in("asyncio/tasks.py") && function == "factory": // of eager tasks, which begin within another
		a.role |= roleRunner
	case in("asyncio/base_events.py") && (function == "run_forever" || function == "run_until_complete"): // run_in_executor is called by what the loop runs
		a.role |= roleRunner
	case strings.Contains(c.File, "trio/_core/_io_"):
		a.role |= roleSelector
	case in("trio/_core/_run.py"):
		a.role |= roleTrio | roleRunner
	case in("/selectors.py"), strings.Contains(c.File, "/gevent/"), strings.Contains(c.File, "/eventlet/hubs/"), strings.Contains(c.File, "/twisted/internet/"):
		a.role |= roleSelector
	case in("concurrent/futures/thread.py") && function == "_worker":
		a.role |= roleThreadWorker
	case in("concurrent/futures/process.py") && function == "_process_worker":
		a.role |= roleProcessWorker
	case in("multiprocessing/pool.py") && function == "worker":
		a.role |= rolePoolWorker
	case in("anyio/_backends/_asyncio.py") && (c.Function == "WorkerThread.run" || c.Function == "run"):
		a.role |= roleAnyioWorker
	case in("/queue.py") && function == "get", in("multiprocessing/queues.py") && function == "get":
		a.role |= roleQueueGet
	case in("socket.py") && function == "getaddrinfo":
		a.role |= roleDNS
	}
	return a
}

// originOf tells the standard library and installed packages by their folders.
func originOf(file string) role {
	switch {
	case strings.Contains(file, "/site-packages/"), strings.Contains(file, "/dist-packages/"):
		return rolePackage
	case strings.HasPrefix(file, "<frozen "):
		return roleStdlib
	}
	_, rest, found := strings.Cut(file, "/lib/python3.")
	if version, _, ok := strings.Cut(rest, "/"); found && ok && strings.Trim(version, "0123456789t") == "" {
		return roleStdlib
	}
	return 0
}

// above is how many frames at the leaf's end of a stack are what the loop runs.
func (s *stacks) above(k known) int {
	for i, id := range k.frames {
		if s.about[id].role&roleRunner != 0 {
			return i
		}
	}
	return len(k.frames)
}

// site is the depth of the frame that a reader of a report can do something
// about: the innermost one of the program itself, else of a package, else the leaf.
func (s *stacks) site(k known) int {
	above := s.above(k)
	for _, no := range [...]role{roleStdlib | rolePackage, roleStdlib} {
		for i := range above {
			if s.about[k.frames[i]].role&no == 0 {
				return i
			}
		}
	}
	return 0
}

// coroutine is the function of the task that the loop runs: the first async
// function above the loop. "" if it runs a plain callback, or the stack is cut.
func (s *stacks) coroutine(k known) string {
	above := s.above(k)
	if above == len(k.frames) {
		return ""
	}
	for i := above - 1; i >= 0; i-- {
		a := s.about[k.frames[i]]
		if a.role&roleCoroutine != 0 {
			return a.function
		}
		if a.role&roleStdlib == 0 {
			return ""
		}
	}
	return ""
}

// awaits are the depths of the async functions of the task that the loop runs,
// outermost first: each awaits the next one. Their depths in the whole stack are
// native more.
func (s *stacks) awaits(k known, native int) string {
	above := s.above(k)
	if s.coroutine(k) == "" {
		return ""
	}
	var text []string
	for i := above - 1; i >= 0 && len(text) < maxAwaits; i-- {
		if s.about[k.frames[i]].role&roleCoroutine != 0 {
			text = append(text, strconv.Itoa(i+native))
		}
	}
	return strings.Join(text, " ")
}

// maxAwaits bounds the chain of awaits that is told of a block.
const maxAwaits = 64

// caller is the function that waits for events, as a loop's stack shows it: what it
// runs is above that. 0: not known.
func (s *stacks) caller(k known) uint64 {
	for _, id := range k.frames {
		if a := s.about[id]; a.role&roleSelector == 0 {
			return a.code
		}
	}
	return 0
}

// shows says whether a function is in a stack, as far as the stack goes.
func (s *stacks) shows(k known, code uint64) bool {
	if k.roles&roleCut != 0 || code == 0 {
		return true
	}
	for _, id := range k.frames {
		if s.about[id].code == code {
			return true
		}
	}
	return false
}

// siteFrame is the frame at a depth; 0 for none.
func (k known) siteFrame(depth int) trace.FrameID {
	if depth < len(k.frames) {
		return k.frames[depth]
	}
	return 0
}
