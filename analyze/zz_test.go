package analyze
import ("testing";"os";"gilscope/internal/trace")
func TestZZ(t *testing.T){
 p := turns{n: 6, wait: 50 * ms1, work: 100 * us, sleep: ms1, asked: 5 * ms1, native: true, holderSleep: true}
 f,_ := os.Create("/tmp/zz.txt"); tr:=p.trace(); trace.Sort(tr.Events); if err:=trace.WriteText(f, tr); err!=nil {t.Fatal(err)}
}
