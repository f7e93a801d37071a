// Package probes owns what runs in the kernel: the BPF programs (bpf/), their
// one record header, the plan of where to attach, and attaching, reading and
// counting. It knows records, not events: what they mean is the collector's.
//
// bpf/wire.h is the wire; the Go types here are generated from it by
// `make generate`, which needs clang, and are committed, so that building and
// using gilscope does not.
package probes
