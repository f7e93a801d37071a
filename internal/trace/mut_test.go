package trace
import ("testing";"bytes";"math/rand/v2";"time";"os";"strconv";"strings")
func TestMut(t *testing.T) {
	if c, err := os.ReadFile("/tmp/h1crash"); err == nil {
		l := strings.Split(string(c), "\n")[1]
		s, err := strconv.Unquote(strings.TrimSuffix(strings.TrimPrefix(l, "[]byte("), ")"))
		t.Log(len(s), err)
		t0 := time.Now()
		x, err := Read(strings.NewReader(s)); t.Log(err, time.Since(t0))
		if x != nil { t.Log(len(x.Events), len(x.Stacks), len(x.Strings)); x.Validate(); t.Log(time.Since(t0)); var b bytes.Buffer; WriteText(&b, x); t.Log(time.Since(t0), b.Len()); 
		w := NewWriter(&b, testOptions); writeAll(w, x); w.Close(); t.Log(time.Since(t0), b.Len()) }
	}
	x := simulate(1, 2, 3)
	plain := inBatches(t, x, 0)
	r := rand.New(rand.NewPCG(1,1))
	end := time.Now().Add(8*time.Second)
	n := 0
	for time.Now().Before(end) {
		f := bytes.Clone(plain)
		for range 1+r.IntN(4) { f[r.IntN(len(f))] = byte(r.Uint32()) }
		t0 := time.Now()
		x, err := Read(bytes.NewReader(f))
		if err != nil { continue }
		t1 := time.Now()
		x.Validate()
		WriteText(&bytes.Buffer{}, x)
		t2 := time.Now()
		w := NewWriter(&bytes.Buffer{}, testOptions); writeAll(w, x); w.Close()
		if time.Since(t0) > 200*time.Millisecond { t.Log(t1.Sub(t0), t2.Sub(t1), time.Since(t2), len(x.Strings), len(x.Stacks), len(x.Frames), len(x.Events)) }
		n++
	}
	t.Log(n)
}
