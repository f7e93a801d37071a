# What a developer does here, one word each; `make` lists them. Caches are outside the tree: ~/.cache/gilscope.

FUZZTIME ?= 10s
BENCH ?= .

# Packages whose tests trace live processes: they need root, a kernel with BTF, and interpreters. The others do not.
LIVE = ./livetest/... ./bench
UNIT = $$(go list ./... | grep -v -e /livetest -e /bench)

# Where the tests find what `make pythons oracle` fetched, also when sudo gives them another HOME.
export GILSCOPE_CACHE ?= $(HOME)/.cache/gilscope
export GILSCOPE_PYTHONS ?= $(GILSCOPE_CACHE)/pythons
# The whole of each assignment is quoted: that is how `go -exec` splits words. HOME: the user's interpreters are
# there; GOCACHE: root must leave nothing in it.
SUDO_ENV = "PATH='"$$PATH"'" "HOME=$(HOME)" "GOCACHE=/var/tmp/gilscope-go-build" "GILSCOPE_CACHE=$(GILSCOPE_CACHE)" "GILSCOPE_PYTHONS=$(GILSCOPE_PYTHONS)" "GILSCOPE_BINARY=$(CURDIR)/gilscope"

.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## ./gilscope, one static binary; needs only Go
	CGO_ENABLED=0 go build -o gilscope ./cmd/gilscope

.PHONY: demo
demo: build ## watch a bundled workload for 5 s, and report; needs only Go and python3 (sudo to record)
	@testdata/demo/run.sh

.PHONY: test
test: pythons oracle vet unit live ## every test, with all its set-up (root, or sudo for the live part)

.PHONY: vet
vet: ## for each processor that gilscope runs on
	go vet ./...
	GOARCH=arm64 CGO_ENABLED=0 go vet ./cmd/...

.PHONY: unit
unit: ## the tests that need no root
	go test $(UNIT)

.PHONY: live
live: build ## the tests that trace live processes; root, or sudo
	@if [ "$$(id -u)" = 0 ]; then \
		go test -p 1 -count=1 -timeout 50m $(LIVE); \
	elif command -v sudo >/dev/null && sudo -v; then \
		go test -p 1 -count=1 -timeout 50m -exec 'sudo env $(SUDO_ENV)' $(LIVE); \
	else \
		echo "make: NOT TESTED: attaching to live processes ($(LIVE)): it needs root, and sudo is missing or refused." >&2; \
		echo "make: run as root: make live" >&2; \
		exit 1; \
	fi

.PHONY: matrix
matrix: build ## record on every interpreter, and write the table in README.md (root)
	go test -count=1 -timeout 20m ./livetest -run TestMatrix -readme $(CURDIR)/README.md

.PHONY: kernels
kernels: ## record on Debian's kernels in emulated machines (minutes), and write the table in README.md; needs apt
	nice -n 19 go run ./internal/testkernel/boot -readme $(CURDIR)/README.md

.PHONY: generate
generate: ## compile the BPF programs; needs clang-14, llvm-strip-14, libbpf headers
	go generate ./probes

.PHONY: check
check: vet fresh ## formatting, vet, staticcheck, and whether generated files are fresh
	@bad=$$(gofmt -l .); [ -z "$$bad" ] || { echo "gofmt: not formatted:" $$bad "- run: gofmt -w ." >&2; exit 1; }
	go tool staticcheck ./...

# Compares before and after by content, so that it also works in a tree with uncommitted changes.
.PHONY: fresh
fresh:
	@before=$$(cat probes/bpf_* | sha256sum); $(MAKE) --no-print-directory generate; \
	[ "$$before" = "$$(cat probes/bpf_* | sha256sum)" ] || \
		{ echo "probes/bpf_*: were not what probes/bpf compiles to; they are now: commit them" >&2; exit 1; }

.PHONY: bench
bench: ## ns per event of each step, and what recording costs its target (root, or sudo); BENCH=regexp
	go test -run '^$$' -bench '$(BENCH)' -benchmem $(UNIT)
	@if [ "$$(id -u)" = 0 ]; then go run ./bench; else go run -exec 'sudo env $(SUDO_ENV)' ./bench; fi

# Pinned packages from PyPI, into the cache. On a machine that others use too, give the session weight first:
# setsid -w sh -c 'echo -20 >/proc/self/autogroup; make bench-peers'
ROUNDS ?= 9
.PHONY: bench-peers
bench-peers: ## what recording costs real servers, beside the tools of others; writes the table in README.md (root, half an hour)
	go run ./internal/testpy/fetch servers-3.13
	go run ./bench -peers -rounds $(ROUNDS) -readme $(CURDIR)/README.md

.PHONY: bench-recorder
bench-recorder: ## what the recorder itself takes: CPU, memory, growth over 5 minutes; writes its table in README.md (root)
	go run ./internal/testpy/fetch servers-3.13
	go run ./bench -recorder -readme $(CURDIR)/README.md

# Go's fuzzer now and then fails to stop in time and calls that a failure ("context deadline exceeded"); a finding
# looks different, and is one.
.PHONY: fuzz
fuzz: ## every fuzz target, as many at a time as there are CPUs; FUZZTIME=10s each
	@for package in $(UNIT); do \
		go test -list '^Fuzz' $$package | sed -n "s|^Fuzz|$$package &|p"; \
	done | xargs -P "$$(nproc)" -L 1 sh -c ' \
		log=$$(mktemp); \
		go test -run "^\$$" -fuzz "^$$1\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x -parallel 1 $$0 >$$log 2>&1 || \
			{ grep -q "context deadline exceeded" $$log && ! grep -q "Failing input" $$log; } || { cat $$log; rm $$log; exit 1; }; \
		echo "$$1: $$(tail -n 1 $$log)"; rm $$log'

.PHONY: pythons
pythons: ## get the interpreters that tests trace, beside those installed; needs apt, gcc, python3 with pip
	go run ./internal/testpy/fetch

.PHONY: oracle
oracle: ## fetch the Perfetto that tests ask; needs python3 with pip, node with npm, Chromium
	go run ./oracle/setup

.PHONY: clean
clean: ## remove what was built here; caches stay
	rm -f gilscope demo.pftrace
