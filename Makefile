# `make help` lists the targets. CONTRIBUTING.md says when to use which.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO ?= go
DEMO_FLAGS ?=
FUZZTIME ?= 10s
BENCH_COUNT ?= 6
BENCH_BASE ?=

# Debian packages of the programs that ours are tried against; the AT clients read the IMEI of an emulated modem,
# and the second TPM engine is C code.
PEERS_DEMO := swtpm
PEERS_AT := gammu gnokii-cli comgt socat modemmanager ofono dbus-daemon dbus-bin
PEERS_SIMULATOR := gcc libc6-dev libssl-dev
PEERS_SIP := kamailio kamailio-utils-modules kamailio-ims-modules kamailio-presence-modules sip-tester tshark
PEERS_DIAMETER := freediameterd
PEERS := $(PEERS_DEMO) $(PEERS_SIMULATOR) swtpm-tools tpm2-tools softhsm2 openssl ruby-cose curl nghttp2-client systemd $(PEERS_AT) $(PEERS_SIP) $(PEERS_DIAMETER)

DEVICE_MAINS := ./agent/cmd/imei-agent ./agent/cmd/imei-provision
NETWORK_MAINS := ./verifier/cmd/imei-verifier ./testbench/cmd/imei-lab
DEVICE_ARCHES := amd64 arm64 arm mipsle
NETWORK_ARCHES := amd64 arm64

# An agent for small devices leaves half of an 8 MB flash chip to everything else.
SIZE_LIMIT := 4500000

# Programs as they are shipped: static, and the same bytes from the same commit in whatever folder. `--version` shows
# the commit that -buildvcs puts into the build info; the flag fails where git cannot read the repository (no git, an
# unpacked archive, another owner), and there the version is "(devel)".
export CGO_ENABLED := 0
BUILD := $(GO) build -trimpath -buildvcs=$(shell git rev-parse HEAD >/dev/null 2>&1 && echo true || echo false)

# The pinned tools have a go.mod of their own, so that none of their modules becomes one of ours.
TOOL := $(GO) tool -modfile=.ci/tools/go.mod

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Go before 1.21 stumbles over our go.mod with an error that helps nobody.
.PHONY: toolchain
toolchain:
	@command -v $(GO) >/dev/null || { echo "Go is not installed: see https://go.dev/doc/install" >&2; exit 1; }
	@$(GO) list -m >/dev/null || { echo "go.mod needs $$(grep '^go ' go.mod) or newer, and this is $$($(GO) version)" >&2; exit 1; }

.PHONY: build
build: toolchain ## the four programs for this machine, into bin/
	$(BUILD) -o bin/ $(DEVICE_MAINS) $(NETWORK_MAINS)

.PHONY: cross
cross: toolchain ## the programs for every processor they are shipped for, into bin/linux-*/
	@for arch in $(DEVICE_ARCHES); do echo "build for linux/$$arch: $(DEVICE_MAINS)"; GOOS=linux GOARCH=$$arch $(BUILD) -o bin/linux-$$arch/ $(DEVICE_MAINS); done
	@for arch in $(NETWORK_ARCHES); do echo "build for linux/$$arch: $(NETWORK_MAINS)"; GOOS=linux GOARCH=$$arch $(BUILD) -o bin/linux-$$arch/ $(NETWORK_MAINS); done

.PHONY: demo
demo: build ## a device proves its IMEI to a verifier, and the lies are caught
	@.ci/peers $(PEERS_DEMO) || [ $$? = 3 ]
	@vault=tpm; \
	command -v swtpm >/dev/null || { vault=software; echo 'No swtpm here, so no TPM takes part: the demo runs on the software vault.' >&2; }; \
	bin/imei-lab demo --vault $$vault $(DEMO_FLAGS)

# The peers may have changed where no source has: their tests are never served from the cache.
.PHONY: test
test: toolchain ## all tests, after installing the programs they are tried against; ends with the verifier's stories, odd SIP messages, and a table of these programs
	@.ci/peers $(PEERS) || [ $$? = 3 ]
	GO=$(GO) .ci/peer-table .ci/test -count=1 -timeout 15m

.PHONY: check
check: toolchain cross ## before each commit, under a minute: gofmt, vet, builds for every processor, short tests, import law
	@bad=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); [ -z "$$bad" ] || { printf 'not as gofmt writes it:\n%s\n' "$$bad" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags minimal ./agent/...
	cd agent/tpmvault/simulator && $(GO) vet .
	$(GO) test -count=1 ./testbench/layers
	$(GO) test -short -timeout 5m ./...

.PHONY: full
full: check deps size reproducible ## before a push: check, and race detector, staticcheck, fuzzing, modules, linked packages, size, same bytes
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...
	CGO_ENABLED=1 $(GO) vet -tags pkcs11 ./agent/cmd/imei-provision
	$(TOOL) staticcheck ./...
	$(GO) mod tidy -diff
	$(GO) mod verify
	GO=$(GO) .ci/fuzz $(FUZZTIME)

.PHONY: deps
deps: toolchain ## compares the packages linked into imei-agent with the list that was agreed to
	@list=$$(GO=$(GO) .ci/deps); diff -u .ci/imei-agent.deps - <<<"$$list" || \
		{ echo 'Each new line is a decision: explain it in the commit, after make deps-update.' >&2; exit 1; }

.PHONY: deps-update
deps-update: toolchain ## writes that list anew
	@list=$$(GO=$(GO) .ci/deps); printf '%s\n' "$$list" > .ci/imei-agent.deps

# Without inlining it is a tenth smaller, and what it waits for is the modem and the TPM.
.PHONY: size
size: toolchain ## builds the smallest agent and fails when it is too large
	@GOOS=linux GOARCH=arm64 $(BUILD) -tags minimal -gcflags=all=-l -ldflags '-s -w' -o bin/linux-arm64/imei-agent-minimal ./agent/cmd/imei-agent
	@bytes=$$(stat -c %s bin/linux-arm64/imei-agent-minimal); \
	echo "imei-agent, minimal, linux/arm64, stripped: $$bytes bytes, at most $(SIZE_LIMIT)"; \
	[ "$$bytes" -le $(SIZE_LIMIT) ]

.PHONY: reproducible
reproducible: toolchain ## builds twice, in two folders and with an empty cache, and compares the bytes
	@MAKE="$(MAKE)" .ci/reproducible

.PHONY: bench
bench: toolchain ## the verifier's, the modem's and the vault's benchmarks, kept in bench/; BENCH_BASE=FILE compares with an earlier run
	@mkdir -p bench
	@file=bench/$$(git describe --tags --always --dirty 2>/dev/null || echo unversioned).txt; \
	$(GO) test -run '^$$' -bench 'P256Verify|Appraise|FullPlan|SlowModem|EndlessStream|Cancel|Token' -benchmem -count $(BENCH_COUNT) ./verifier ./modem/... ./agent/tpmvault | tee $$file; \
	grep -q '^Benchmark' $$file || { echo 'no benchmark found: were they renamed or moved?' >&2; exit 1; }; \
	$(TOOL) benchstat $(BENCH_BASE) $$file; \
	echo "kept in $$file"

.PHONY: bench-service
bench-service: build ## the verifier as a service, measured in one run; some minutes, and 3 GB in bench/service, which is kept
	GO=$(GO) .ci/bench-service

.PHONY: bench-registration
bench-registration: build ## what the registration fronts carry, measured beside what is wanted; some minutes, and about 2 GB in bench/, which is kept
	.ci/bench-eir
	.ci/bench-s13
	GO=$(GO) .ci/bench-registration

.PHONY: soak
soak: toolchain ## the long forms of the tests that are cut short otherwise; writes the table of odd answers in modem/README.md
	@.ci/peers $(PEERS) || [ $$? = 3 ]
	IMEI_ATTEST_SOAK=1 .ci/peer-table $(GO) test -count=1 -timeout 60m ./...

.PHONY: vuln
vuln: toolchain ## known vulnerabilities in what we link; asks a database on the network
	$(TOOL) govulncheck ./...

.PHONY: peers-demo
peers-demo: ## installs the Debian packages that the demo needs
	.ci/peers $(PEERS_DEMO)

.PHONY: peers
peers: ## installs the Debian packages that the tests need
	.ci/peers $(PEERS)

.PHONY: clean
clean: ## removes what was built and measured
	rm -rf bin bench
