package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gilscope/collector"
	"gilscope/internal/cpython"
	"gilscope/probes"
)

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	pid  int
	json bool
}

// finding is one line of doctor.
type finding struct {
	Status string `json:"status"` // ok, warn or fail
	Check  string `json:"check"`
	Detail string `json:"detail"`
}

func newDoctor() *cobra.Command {
	o := doctorOptions{}
	cmd := &cobra.Command{
		Use:   "doctor [-p PID]",
		Short: "Try what recording needs, one operation after the other",
		Long: `Doctor performs the operations that a recording needs and says which of them fail and how to mend it.
With -p it also looks at a process: its interpreter, and how its GIL would be observed.`,
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
	found := checkHost()
	if o.pid != 0 {
		found = append(found, checkProcess(o.pid)...)
	}
	if err := o.print(out, found); err != nil {
		return err
	}
	for _, f := range found {
		if f.Status == "fail" {
			return errUnfit
		}
	}
	return nil
}

func (o *doctorOptions) print(out io.Writer, found []finding) error {
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Schema string    `json:"schema"`
			Checks []finding `json:"checks"`
		}{"gilscope.doctor/v1", found})
	}
	for _, f := range found {
		if _, err := fmt.Fprintf(out, "[%-4s] %s: %s\n", f.Status, f.Check, f.Detail); err != nil {
			return err
		}
	}
	return nil
}

func result(check, detail string, err error) finding {
	if err != nil {
		return finding{"fail", check, err.Error()}
	}
	return finding{"ok", check, detail}
}

// checkHost tries what does not depend on a target.
func checkHost() []finding {
	found := []finding{result("kernel", collector.Kernel(), collector.CheckKernel())}
	for _, c := range probes.SelfTest() {
		found = append(found, result(c.Name, c.Detail, c.Err))
	}
	return append(found, result("read memory of a process", "process_vm_readv", collector.CheckMemory()))
}

// checkProcess looks at one process.
func checkProcess(pid int) []finding {
	state := result("state of the process", "runs, no tracer", collector.CheckTarget(pid))
	p, err := cpython.Open(pid)
	if err != nil {
		return []finding{state, result("interpreter", "", err)}
	}
	defer p.Close()
	b := p.Build
	text := fmt.Sprintf("Python %s in %s (%s)", p.Version, b.Path, strings.Join(traits(b), ", "))
	found := []finding{state, {"ok", "interpreter", text}}
	for _, d := range []probes.Detail{probes.Waits, probes.Full} {
		plan, err := probes.NewPlan(p, d, probes.AutoBackend)
		detail := fmt.Sprintf("backend %s, cost %s", plan.Backend, plan.Cost())
		if sites := plan.Sites(); sites != "" {
			detail += ": " + sites
		}
		f := result("detail "+string(d), detail, err)
		if errors.Is(err, cpython.ErrNoSymbol) {
			f.Status = "warn"
		}
		found = append(found, f)
	}
	return found
}

func traits(b cpython.Build) []string {
	pick := func(is bool, yes, no string) string {
		if is {
			return yes
		}
		return no
	}
	return []string{pick(b.Shared, "shared", "static"), pick(b.PIE, "PIE", "non-PIE"), pick(b.Stripped, "stripped", "with symbols")}
}
