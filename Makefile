# Sallyport. `make` alone says what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build demo test test-unit bench generate fuzz lint install

# The race detector watches everything but SQLite and the C library under it, which are C in Go's clothes with locks of
# their own, and password hashes: all take several times as long under it. test/harness builds the programs that tests start
# with the same flags. Two packages at a time: their tests start servers and browsers of their own. That lint has vetted
# everything, with more checks than go test would, is why it is not vetted again.
UNWATCHED := modernc.org/sqlite/lib modernc.org/libc golang.org/x/crypto/argon2 golang.org/x/crypto/blake2b
TESTFLAGS ?= -race -p 2 -vet=off -timeout 30m $(UNWATCHED:%=-gcflags=%=-race=false)
# The packages that take longest come first, so that none of them is left running alone at the end.
LONGEST := ./test/e2e ./appliance-connector/console ./web ./cmd/sallyport ./appliance-connector/store ./web/authenticator ./cloud/login
FUZZTIME ?= 10s

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/sallyport
	go build -o bin/ ./cmd/...

demo: build ## everything on this machine, with nothing to configure
	bin/sallyport demo

test: install lint ## everything, with real parts; as root it installs what it needs
	go test $(TESTFLAGS) $(LONGEST) ./...

test-unit: ## the quick part: packages whose tests start no other program
	@packages=$$(test/unit.sh) && go test -race $$packages

bench: ## the benchmarks beside their peers, as a table in docs/performance.md (10 minutes)
	go build -o bin/bench ./test/bench
	bin/bench -out docs/performance.md

generate: ## the Go that is made from other files
	go generate ./...

fuzz: ## every fuzz test for FUZZTIME (10s)
	test/fuzz.sh $(FUZZTIME)

lint: ## gofmt, go vet, staticcheck, errcheck
	TESTFLAGS="$(TESTFLAGS)" test/lint.sh

install: ## the Debian packages that the tests need
	test/install.sh
