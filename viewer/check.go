package viewer

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"gilscope/analyze"
)

// Outcomes are the budgets of one check, held against one trace.
type Outcomes struct {
	Trace string
	List  []analyze.Outcome
}

// Worst is the status of the whole: a breach counts more than a doubt.
func (o Outcomes) Worst() analyze.Status {
	worst := analyze.Pass
	for _, x := range o.List {
		if x.Status == analyze.Breach {
			return analyze.Breach
		}
		if x.Status == analyze.Inconclusive {
			worst = analyze.Inconclusive
		}
	}
	return worst
}

// CheckFormats are the forms of Outcomes by name.
var CheckFormats = map[string]func(io.Writer, Outcomes) error{
	"text": CheckText, "json": CheckJSON, "junit": JUnit, "github": GitHub,
}

// found says in words how a budget came out.
func found(o analyze.Outcome) string {
	switch {
	case o.Status == analyze.Inconclusive:
		return o.Why
	case o.Value == nil:
		return unknown
	}
	return "is " + o.Budget.Show(*o.Value)
}

// CheckText writes a line per budget.
func CheckText(w io.Writer, o Outcomes) error {
	p := &page{}
	for _, x := range o.List {
		p.line("%-12s  %s: %s", x.Status, x.Budget, found(x))
	}
	_, err := w.Write(p.buf.Bytes())
	return err
}

// checkSchema names the JSON form of a check.
const checkSchema = "gilscope.check/v1"

type checkJSON struct {
	Schema  string       `json:"schema"`
	Trace   string       `json:"trace"`
	Status  string       `json:"status"`
	Budgets []budgetJSON `json:"budgets"`
}

type budgetJSON struct {
	Budget string   `json:"budget"`
	Metric string   `json:"metric"`
	Op     string   `json:"op"`
	Limit  float64  `json:"limit"` // ns, share of 1, or count
	Value  *float64 `json:"value"`
	Status string   `json:"status"`
	Why    *string  `json:"why"`
}

// CheckJSON writes the outcomes for machines.
func CheckJSON(w io.Writer, o Outcomes) error {
	doc := checkJSON{Schema: checkSchema, Trace: o.Trace, Status: string(o.Worst()), Budgets: []budgetJSON{}}
	for _, x := range o.List {
		row := budgetJSON{Budget: x.Budget.String(), Metric: x.Budget.Metric, Op: x.Budget.Op, Limit: x.Budget.Limit,
			Value: x.Value, Status: string(x.Status)}
		if x.Why != "" {
			row.Why = &x.Why
		}
		doc.Budgets = append(doc.Budgets, row)
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("write the check as JSON: %w", err)
	}
	_, err = w.Write(append(visible(data), '\n'))
	return err
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	Failure *junitFault `xml:"failure"`
	Error   *junitFault `xml:"error"`
}

type junitFault struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
}

// JUnit writes a testcase per budget: a breach is a failure, an inconclusive
// budget an error, because no CI should take either for a success.
func JUnit(w io.Writer, o Outcomes) error {
	suite := junitSuite{Name: "gilscope " + Safe(o.Trace), Tests: len(o.List)}
	for _, x := range o.List {
		c := junitCase{Class: "gilscope.budget", Name: Safe(x.Budget.String())}
		fault := &junitFault{Type: string(x.Status), Message: Safe(x.Budget.String() + ": " + found(x))}
		switch x.Status {
		case analyze.Breach:
			suite.Failures++
			c.Failure = fault
		case analyze.Inconclusive:
			suite.Errors++
			c.Error = fault
		}
		suite.Cases = append(suite.Cases, c)
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	enc := xml.NewEncoder(&b)
	enc.Indent("", "  ")
	if err := enc.Encode(suite); err != nil {
		return fmt.Errorf("write the check as JUnit: %w", err)
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

// maxAnnotations is how many annotations of a kind GitHub shows per step.
const maxAnnotations = 10

var (
	commandText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// GitHub writes workflow commands for the budgets that did not pass.
func GitHub(w io.Writer, o Outcomes) error {
	var b bytes.Buffer
	n := 0
	for _, x := range o.List {
		if x.Status == analyze.Pass || n == maxAnnotations {
			continue
		}
		n++
		kind := "error"
		if x.Status == analyze.Inconclusive {
			kind = "warning"
		}
		title := fmt.Sprintf("GIL budget %s", x.Status)
		fmt.Fprintf(&b, "::%s title=%s::%s\n", kind, commandProperty.Replace(title), commandText.Replace(Safe(x.Budget.String()+": "+found(x))))
	}
	_, err := w.Write(b.Bytes())
	return err
}
