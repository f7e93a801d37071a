package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gilscope/internal/trace"
)

// memoryFlag is --max-mem of the commands that read a trace.
type memoryFlag struct {
	text  string
	bytes int64
}

func (m *memoryFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.text, "max-mem", "2GiB", "refuse a trace whose events take more memory; it takes up to three times that to analyse")
}

func (m *memoryFlag) check() error {
	n, ok := parseSize(m.text)
	if !ok || n < 1<<20 {
		return usageErrorf("--max-mem %q: give 1MiB or more, such as 4GiB", m.text)
	}
	m.bytes = n
	return nil
}

// defaultMemory is for commands without the flag.
var defaultMemory = memoryFlag{bytes: trace.DefaultMaxBytes}

// parseSize reads a number of bytes, also in kB, MB, GB or KiB, MiB, GiB.
func parseSize(s string) (int64, bool) {
	number := strings.TrimRight(s, "BKMGkmgib ")
	var unit float64
	switch strings.ToLower(strings.TrimSpace(s[len(number):])) {
	case "", "b":
		unit = 1
	case "k", "kb":
		unit = 1e3
	case "m", "mb":
		unit = 1e6
	case "g", "gb":
		unit = 1e9
	case "kib":
		unit = 1 << 10
	case "mib":
		unit = 1 << 20
	case "gib":
		unit = 1 << 30
	default:
		return 0, false
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n > 0) || n*unit > 1<<50 {
		return 0, false
	}
	return int64(n * unit), true
}
