#!/usr/bin/env bash
# Looks at every Go file without running it. Generated files are left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
  printf 'not gofmt-ed:\n%s\n' "$unformatted" >&2
  exit 1
fi
go vet ./...
go tool staticcheck ./...
go tool errcheck -ignoregenerated ./...
