// Package collector owns one recording: its targets, the way from records to
// events, names, stacks and losses, and the trace they are written to.
//
// The way of the data is session.go (read, dispatch) → gil.go and lane.go (who
// waited, who held) and sched.go (who ran) → trace.Writer.
package collector
