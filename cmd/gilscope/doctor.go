package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gilscope/collector"
	"gilscope/probes"
	"gilscope/viewer"
)

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	pid  int
	json bool
}

// diagnosis is all that doctor finds, and its JSON form.
type diagnosis struct {
	Schema string    `json:"schema"`
	Checks []finding `json:"checks"`
	Hits   []hitCost `json:"hits"`
	Target *target   `json:"target"` // null: none was asked for, or it is no Python
}

// finding is one line of doctor.
type finding struct {
	Status string `json:"status"` // ok, warn or fail
	Check  string `json:"check"`
	Detail string `json:"detail"`
}

// hitCost is what one probe hit costs here, by the kind of site.
type hitCost struct {
	Cost     string `json:"cost"`
	HitNS    int64  `json:"hit_ns"`
	RecordNS int64  `json:"record_ns"` // with the record that it makes
}

// add notes the outcome of a check; an error is a failure, and has the remedy in it.
func (d *diagnosis) add(check, detail string, err error) {
	f := finding{"ok", check, detail}
	if err != nil {
		f = finding{"fail", check, err.Error()}
	}
	d.Checks = append(d.Checks, f)
}

// warn notes what does not prevent a recording.
func (d *diagnosis) warn(check, detail string) {
	d.Checks = append(d.Checks, finding{"warn", check, detail})
}

func newDoctor() *cobra.Command {
	o := doctorOptions{}
	cmd := &cobra.Command{
		Use:   "doctor [-p PID]",
		Short: "Try what recording needs, one operation after the other",
		Long: `Doctor performs the operations that a recording needs and says which of them fail and how to mend it.
It measures what a probe hit costs on this machine. With -p it also looks at a process: its interpreter, what
stands in the way, and how its GIL would be observed, at what cost.`,
		Example: `  sudo gilscope doctor
  sudo gilscope doctor -p 4242 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.OutOrStdout()) },
	}
	cmd.Flags().IntVarP(&o.pid, "pid", "p", 0, "process to look at")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// errUnfit is what doctor returns when a check failed; each has told its remedy.
var errUnfit = fmt.Errorf("%w: see the failed checks above", probes.ErrKernel)

func (o *doctorOptions) run(out io.Writer) error {
	d := diagnosis{Schema: "gilscope.doctor/v1"}
	d.host()
	if o.pid != 0 {
		d.process(o.pid)
	}
	if err := o.print(out, &d); err != nil {
		return err
	}
	for _, f := range d.Checks {
		if f.Status == "fail" {
			return errUnfit
		}
	}
	return nil
}

func (o *doctorOptions) print(out io.Writer, d *diagnosis) error {
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(d)
	}
	for _, f := range d.Checks {
		if _, err := fmt.Fprintf(out, "[%-4s] %s: %s\n", f.Status, f.Check, viewer.Safe(f.Detail)); err != nil {
			return err
		}
	}
	return nil
}

// host tries what does not depend on a target.
func (d *diagnosis) host() {
	d.add("kernel", probes.Kernel(), probes.CheckKernel())
	d.add("pid namespace", "the host's", collector.CheckNamespace())
	checks, hits := probes.SelfTest()
	for _, c := range checks {
		d.add(c.Name, c.Detail, c.Err)
	}
	for _, h := range hits {
		d.Hits = append(d.Hits, hitCost{h.Cost.String(), h.Alone.Nanoseconds(), h.Record.Nanoseconds()})
	}
	d.add("read memory of a process", "process_vm_readv", collector.CheckMemory())
}
