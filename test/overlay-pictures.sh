#!/bin/bash
# Makes the pictures of docs/images/overlay anew, as the overlay looks now: every screen, on both kinds of page, on a desk and on a phone.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v pngquant >/dev/null || { echo "overlay-pictures: pngquant is missing: apt-get install pngquant" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p docs/images/overlay
# What is missing in the pages is complained about below, once the pictures are there.
SALLYPORT_TEST_OVERLAY=$dir go test -count=1 ./web -run '^TestEveryScreenIsPicturedForTheHelpDesk$' >"$dir/log" || made=no
[ -n "$(ls "$dir"/*-modern-phone.png 2>/dev/null)" ] || { cat "$dir/log" >&2; exit 1; }
rm -f docs/images/overlay/*.png
for f in "$dir"/*.png; do
	colours=16
	[[ $f == *-wide.png ]] && colours=24 # the shadow of the card
	pngquant --speed 1 --strip --nofs -o "docs/images/overlay/$(basename "$f")" "$colours" "$f"
done
if [ "${made:-yes}" = no ]; then
	go test -count=1 ./web -run '^TestEveryScreenIsPicturedForTheHelpDesk$'
fi
