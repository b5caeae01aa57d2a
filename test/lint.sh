#!/usr/bin/env bash
# Looks at every Go file without running it. Generated files are left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
  printf 'not gofmt-ed:\n%s\n' "$unformatted" >&2
  exit 1
fi

# The checkers are built as they are, and look at what is compiled with TESTFLAGS (which the Makefile hands over): what they
# need of every package is then compiled once, for them and for the tests.
staticcheck=$(go tool -n staticcheck)
errcheck=$(go tool -n errcheck)
for flag in ${TESTFLAGS:-}; do
  case $flag in
    -race | -gcflags=*) GOFLAGS="${GOFLAGS:+$GOFLAGS }$flag" ;;
  esac
done
export GOFLAGS="${GOFLAGS:-}"
go vet ./...
"$staticcheck" ./...
"$errcheck" -ignoregenerated ./...
