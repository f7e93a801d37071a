package cpython

import (
	"fmt"
	"testing"

	"gilscope/internal/testpy"
)

// carriers runs two interpreters on threads of the main one. In the first,
// threading was imported before by another thread, so it takes the carrier for a
// thread that it did not start; in the second the carrier imports it, and so is
// the main thread there. Each carrier starts one more thread inside. All say who
// they are and stay until stdin ends.
const carriers = `
import os, sys, threading
if sys.version_info >= (3, 13):
    import _interpreters as subs
    run = subs.exec
else:
    import _xxsubinterpreters as subs
    run = subs.run_string
create = subs.create
if (3, 9) <= sys.version_info < (3, 12):
    create = lambda: subs.create(isolated=False)
stay, _ = os.pipe()
inside = '''
import os, threading
def say(name):
    os.write(1, ("%%d %%s %%s\\n" %% (threading.get_ident(), threading.current_thread().name, name)).encode())
    os.read(%d, 1)
threading.Thread(target=say, args=("inner-%d",), name="inner-%d").start()
say("carrier-%d")
'''
print("ready")
for n in (1, 2):
    sub = create()
    if n == 1:
        run(sub, "import threading")
    threading.Thread(target=run, args=(sub, inside % (stay, n, n, n)), name="carrier-%d" % n).start()
sys.stdin.read()
os._exit(0)
`

// TestThreadNamesInside: threads have the names that they were given, whichever
// interpreter gave them.
func TestThreadNamesInside(t *testing.T) {
	eachBuild(t, func(t *testing.T, i testpy.Interpreter) {
		proc := testpy.Start(t, i, carriers)
		want := map[uint64]string{}
		for range 4 {
			var ident uint64
			var inside, name string
			if _, err := fmt.Sscan(proc.Line(t), &ident, &inside, &name); err != nil {
				t.Fatal(err)
			}
			want[ident] = name
			if given := !byDefault(inside); given != (inside == name) {
				t.Errorf("%s is called %s inside: the script does not make what is to be tested", name, inside)
			}
		}
		p := open(t, proc.PID)
		names, err := p.ThreadObjects()
		if err != nil {
			t.Fatal(err)
		}
		for ident, name := range want {
			if names[ident].Name != name {
				t.Errorf("thread %d is called %q, want %q; all: %v", ident, names[ident].Name, name, names)
			}
		}
		if len(names) != 5 { // and the main thread
			t.Errorf("%d names: %v", len(names), names)
		}
	})
}
