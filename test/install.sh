#!/usr/bin/env bash
# Installs the Debian packages that `make test` needs, those that are missing only.
# With everything there it takes a moment and needs no network and no root.
set -euo pipefail

packages=(
  ca-certificates git make gcc libc6-dev             # the race detector is linked by gcc; portshift.c is compiled
  redis-server
  postgresql
  samba samba-ad-provision samba-dsdb-modules samba-vfs-modules ldb-tools # an Active Directory domain controller
  freeradius freeradius-utils                        # radclient, and the peer of the benchmarks
  radsecproxy                                        # RADIUS over TLS, from other people's code
  oathtool pskctool pskc-utils                       # an independent opinion on token codes and their files
  chromium fonts-dejavu-core
  protobuf-compiler                                  # make generate, and the next line
  python3 python3-cryptography python3-grpcio python3-protobuf # clients that share no code with ours
  python3-aiosmtpd                                   # a mail server
  python3-pyrad                                      # a RADIUS client
  perl libnet-smpp-perl                              # a message centre for text messages
)

missing=()
for p in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "test/install.sh: as root: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]}"

# The tests start servers of their own; the packages' services are to stay down.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
"${apt[@]}" update
"${apt[@]}" install --no-install-recommends "${missing[@]}"
