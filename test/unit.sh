#!/usr/bin/env bash
# Prints the packages whose tests start no other program and no server of another kind:
# those that `make test-unit` runs. Which they are is asked of their imports, so that a
# package moves by itself when its tests change.
set -euo pipefail
cd "$(dirname "$0")/.."

go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}{{end}}' ./... |
  awk '!/ os\/exec( |$)| github\.com\/chromedp\/|\/test\/harness( |$)/ && NF {print $1}'
