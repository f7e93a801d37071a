package probes

import (
	"math/rand/v2"
	"testing"
	"unsafe"
)

// BenchmarkBatch: bytes of ring entries to records in time order, as one read
// of the ring has them: two CPUs, whose records stand out of order by less than
// a microsecond, and a third of them with stacks.
func BenchmarkBatch(b *testing.B) {
	const records = 20_000
	chance := rand.New(rand.NewPCG(1, 1))
	entries := make([][]byte, records)
	for i := range entries {
		entry := make([]uint64, recSize/8, recSize/8+32)
		r := (*Rec)(unsafe.Pointer(&entry[0]))
		r.Ts, r.Kind = 1e12+uint64(i)*2000+chance.Uint64N(2500), KindSwitch
		if i%3 == 0 {
			r.Nframes, r.Hframes = 8, 8
			entry = append(entry, make([]uint64, 16*frameSize/8)...)
		}
		entries[i] = unsafe.Slice((*byte)(unsafe.Pointer(&entry[0])), 8*len(entry))
	}
	var batch Batch
	b.ReportAllocs()
	for b.Loop() {
		batch.begin()
		for _, entry := range entries {
			batch.add(entry)
		}
		batch.sort()
		for n := 0; n < records; n++ {
			if _, ok := batch.Next(true); !ok {
				b.Fatalf("the batch ended after %d records of %d", n, records)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
}
