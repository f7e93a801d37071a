package collector

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroupRoot is where cgroup v2 is mounted.
const cgroupRoot = "/sys/fs/cgroup"

// CPUQuota is how many CPUs' time the cgroups of this process may use (cpu.max of
// each up to the root, the least counts); 0: there is no limit that can be seen.
func CPUQuota() float64 {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	return quotaOf(cgroupRoot, text)
}

// quotaOf reads the line "0::PATH" of cgroups(7), and the limits on its way up.
func quotaOf(root string, own []byte) float64 {
	path, found := "", false
	for line := range strings.Lines(string(own)) {
		if path, found = strings.CutPrefix(strings.TrimSpace(line), "0::/"); found {
			break
		}
	}
	if !found || strings.Contains(path, "..") { // outside of our cgroup namespace
		path = ""
	}
	least := 0.0
	for dir := filepath.Join(root, path); strings.HasPrefix(dir, root); dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "cpu.max"))
		if err != nil {
			continue
		}
		if q := parseQuota(string(text)); q > 0 && (least == 0 || q < least) {
			least = q
		}
	}
	return least
}

// parseQuota is "QUOTA PERIOD" in microseconds, or "max PERIOD"; 0 for no limit.
func parseQuota(text string) float64 {
	quota, period, _ := strings.Cut(strings.TrimSpace(text), " ")
	q, err1 := strconv.ParseUint(quota, 10, 63)
	p, err2 := strconv.ParseUint(period, 10, 63)
	if err1 != nil || err2 != nil || p == 0 {
		return 0
	}
	return float64(q) / float64(p)
}
