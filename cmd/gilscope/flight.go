package main

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gilscope/collector"
	"gilscope/probes"
)

// flightFlags are those flags of record that bound the trace or make it a flight recorder.
type flightFlags struct {
	ring     string
	ringMiB  int
	keep     time.Duration
	maxSize  string
	bytes    int64
	trigger  []string
	triggers []collector.Trigger
	after    time.Duration
	maxDumps int
}

// keptBytes is how much a flight recorder keeps at most, if nothing else is said:
// 40 million events.
const keptBytes = 256e6

func (o *flightFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.maxSize, "max-size", "", "end when the trace has this size, such as 100MB; with --keep: keep no more (default 256MB)")
	f.DurationVar(&o.keep, "keep", 0, "flight recorder: keep the last part of this length in memory, such as 30s")
	f.StringArrayVar(&o.trigger, "trigger", nil, "with --keep, write it when this happens: gil.wait>500ms, gil.hold>50ms, loop.block>1s (may be repeated)")
	f.DurationVar(&o.after, "after", 2*time.Second, "with --keep, record on for this long after a trigger")
	f.IntVar(&o.maxDumps, "max-dumps", 10, "with --keep, end after so many dumps")
	f.StringVar(&o.ring, "ring", "16", "size of the event buffer in MiB, a power of two; with a duration, the same as --keep")
}

// check reads the flags; the detail is that of the recording.
func (o *flightFlags) check(detail string) error {
	if err := o.readRing(); err != nil {
		return err
	}
	if o.maxSize != "" {
		n, ok := parseSize(o.maxSize)
		if !ok || n < 1<<20 {
			return usageErrorf("--max-size %q: give 1MiB or more, such as 100MB", o.maxSize)
		}
		o.bytes = n
	}
	switch {
	case o.keep < 0:
		return usageErrorf("--keep %v: give a time above 0, such as 30s", o.keep)
	case o.keep == 0 && len(o.trigger) > 0:
		return usageErrorf("--trigger needs --keep: how much of what came before is to be written? Try --keep 30s")
	case o.after < 0:
		return usageErrorf("--after %v: give 0 or more", o.after)
	case o.maxDumps < 1:
		return usageErrorf("--max-dumps %d: give 1 or more", o.maxDumps)
	case o.keep > 0 && o.bytes == 0:
		o.bytes = keptBytes
	}
	for _, text := range o.trigger {
		t, err := collector.ParseTrigger(text)
		if err != nil {
			return usageErrorf("--trigger %w", err)
		}
		if t.Metric == collector.MetricHold && detail == string(probes.Waits) {
			return usageErrorf("--trigger %q: holds are not seen at --detail waits; use --detail full", text)
		}
		o.triggers = append(o.triggers, t)
	}
	return nil
}

// readRing reads --ring, which has two meanings: a number is the size of the
// event buffer, a duration what a flight recorder keeps.
func (o *flightFlags) readRing() error {
	if n, err := strconv.Atoi(o.ring); err == nil && n > 0 && n <= 1024 && n&(n-1) == 0 {
		o.ringMiB = n
		return nil
	}
	keep, err := time.ParseDuration(o.ring)
	if err != nil || keep <= 0 {
		return usageErrorf("--ring %q: give a power of two from 1 to 1024 (MiB), or a duration such as 30s", o.ring)
	}
	if o.keep > 0 {
		return usageErrorf("--ring %s and --keep %v say the same: give one of them", o.ring, o.keep)
	}
	o.keep, o.ringMiB = keep, 16
	return nil
}

// options are those of the collector. From now on SIGUSR1 asks for a dump.
func (o *flightFlags) options() collector.FlightOptions {
	if o.keep == 0 {
		return collector.FlightOptions{}
	}
	request := make(chan os.Signal, 1)
	signal.Notify(request, syscall.SIGUSR1)
	return collector.FlightOptions{Keep: o.keep, Triggers: o.triggers, After: o.after, MaxDumps: o.maxDumps, Request: request}
}
