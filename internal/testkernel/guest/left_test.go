package main

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

//go:noinline
func neverCalled() string { return "never called" }

// TestChangedCode: one changed byte of the code is noticed, as a breakpoint is one.
func TestChangedCode(t *testing.T) {
	if changed, err := changedCode(os.Getpid()); changed != "" || err != nil {
		t.Fatalf("nothing is changed: %q, %v", changed, err)
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	at := int64(reflect.ValueOf(neverCalled).Pointer())
	code := make([]byte, 1)
	if _, err := mem.ReadAt(code, at); err != nil {
		t.Fatal(err)
	}
	if _, err := mem.WriteAt([]byte{^code[0]}, at); err != nil {
		t.Fatal(err)
	}
	defer mem.WriteAt(code, at)
	if changed, err := changedCode(os.Getpid()); !strings.HasPrefix(changed, "changed code of /") || err != nil {
		t.Errorf("a byte is changed: %q, %v", changed, err)
	}
}
