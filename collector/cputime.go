package collector

import (
	"bufio"
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// userTick is the unit of /proc/stat: USER_HZ is 100 on every processor that we support.
const userTick = 10 * time.Millisecond

// busyTime is for how long these CPUs (nil: all) have run anything since boot,
// the host's other guests included (stolen time); false if the kernel does not tell.
func busyTime(cpus []int) (time.Duration, bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	return parseBusy(text, cpus)
}

// parseBusy reads the lines "cpuN user nice system idle iowait irq softirq steal
// guest guest_nice" of proc_stat(5); a guest's time is in user already.
func parseBusy(text []byte, cpus []int) (time.Duration, bool) {
	var ticks int64
	found := 0
	s := bufio.NewScanner(bytes.NewReader(text))
	for s.Scan() {
		fields := strings.Fields(s.Text())
		if len(fields) < 9 || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		cpu, err := strconv.Atoi(fields[0][len("cpu"):])
		if err != nil || cpus != nil && !slices.Contains(cpus, cpu) {
			continue
		}
		found++
		for i, f := range fields[1:9] {
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, false
			}
			if i != 3 && i != 4 { // idle, iowait
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * userTick, found > 0 && (cpus == nil || found == len(cpus))
}
