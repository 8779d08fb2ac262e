#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [-s|-u] [-o] [COMMAND…]: runs a command (./dev demo --exit without arguments) on the last commit in a bare Debian 12: a
# fresh debootstrap root of the minbase variant, so that no install step hides in a prepared machine.
#   -s  as a user who may use sudo, in a checkout whose path has a blank
#   -u  as a user without sudo, after `./dev setup` as root; in such a checkout too
#   -o  afterwards once more in a network of its own that has only loopback: nothing is fetched twice, nothing leaves the machine
# Needs root. The package sources are this machine's, everything else is the root's own. The bootstrapped system is cached outside
# of the checkout (BARE_CACHE) and unpacked anew each time; BARE_KEEP=1 leaves the root behind.
# shellcheck disable=SC2317 # what the traps call
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
cache=${BARE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postgres-apiserver}
as=root again=
while getopts suo option; do
  case $option in
  s) as=sudo ;;
  u) as=user ;;
  o) again=1 ;;
  *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [[ $# == 0 ]]; then set -- ./dev demo --exit; fi

if [[ $(id -u) != 0 ]]; then
  echo "bare: needs root (debootstrap, chroot)" >&2
  exit 1
fi

# The process that is waited for, and the folders that go when we do.
child='' scratch=()
cleanup() {
  local result=$? first=''
  trap - EXIT
  trap '' INT TERM HUP
  if [[ -n $child && -d /proc/$child ]]; then
    # With the first process of the name space the kernel ends all others; they are gone when unshare has returned.
    read -r first _ <"/proc/$child/task/$child/children" || true
    kill -KILL "${first:-$child}" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  for folder in ${scratch[@]+"${scratch[@]}"}; do rm -rf --one-file-system "$folder"; done
  exit "$result"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# spaced COMMAND…: in mount and process name spaces of its own: what it mounts and starts ends with it.
spaced() {
  local result=0
  unshare --mount --pid --fork --kill-child "$@" </dev/null &
  child=$!
  wait "$child" || result=$?
  child=''
  return "$result"
}

# The first source of this machine that has the release itself, in the old or the new format.
mirror() {
  {
    sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) +bookworm .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list
    sed -nE '/^URIs:/{s/^URIs: *([^ ]+).*/\1/;h};/^Suites:.*bookworm( |$)/{x;p;x}' /etc/apt/sources.list.d/*.sources
  } 2>/dev/null | head -n 1
}

bootstrap() {
  local fresh
  if ! command -v debootstrap >/dev/null; then
    echo "+ apt-get install debootstrap"
    DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install debootstrap
  fi
  mkdir -p "$cache"
  fresh=$(mktemp -d "$cache/bootstrap.XXXXXX")
  scratch+=("$fresh")
  echo "+ debootstrap --variant=minbase bookworm $fresh (the mirror of this machine)"
  if ! spaced debootstrap --variant=minbase bookworm "$fresh" "$(mirror)" >"$cache/bootstrap.log" 2>&1; then
    tail -n 20 "$cache/bootstrap.log" >&2
    return 1
  fi
  rm -f "$fresh"/var/cache/apt/archives/*.deb
  tar -C "$fresh" -cf "$cache/minbase.tar.new" .
  mv "$cache/minbase.tar.new" "$cache/minbase.tar"
}

# What makes this machine reach its packages (sources, proxies, authorities), and nothing else of it.
copy_access() {
  local path
  for path in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf /etc/apt/apt.conf.d /etc/apt/auth.conf.d \
    /etc/apt/keyrings /etc/apt/trusted.gpg.d /etc/pip.conf /etc/resolv.conf /etc/hosts /usr/local/share/ca-certificates; do
    if [[ -e $path ]]; then
      rm -rf "${root:?}$path"
      mkdir -p "$root$(dirname "$path")"
      cp -aL "$path" "$root$path"
    fi
  done
  if [[ -f $HOME/.config/pip/pip.conf ]]; then
    mkdir -p "$root/root/.config/pip"
    cp "$HOME/.config/pip/pip.conf" "$root/root/.config/pip/"
  fi
}

# The mounts live in a name space of their own, so that what stands outside is only files.
# shellcheck disable=SC2016
inside='
set -e
root=$1
shift
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
for node in null zero full random urandom tty; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
if [ "$1" = alone ]; then ip link set lo up; fi
shift
exec chroot "$root" /usr/bin/env -i TERM=dumb LANG=en_US.UTF-8 "$@"
'

# enter NETWORK COMMAND…: as root in the root; the network "alone" is one with nothing but loopback, "shared" this machine's.
enter() {
  local -a network=()
  if [[ $1 == alone ]]; then network=(--net); fi
  spaced "${network[@]}" bash -c "$inside" bare "$root" "$1" "${access[@]}" "${@:2}"
}

# as_somebody NETWORK COMMAND…: in the checkout, as the user of this run.
as_somebody() {
  # shellcheck disable=SC2016
  local go='cd "$0" && "$@"'
  if [[ $as == root ]]; then
    enter "$1" HOME=/root bash -c "$go" "$checkout" "${@:2}"
  else
    enter "$1" HOME=/home/dev USER=dev LOGNAME=dev setpriv --reuid dev --regid dev --init-groups bash -c "$go" "$checkout" "${@:2}"
  fi
}

if [[ ! -f $cache/minbase.tar ]]; then bootstrap; fi
root=$(mktemp -d "${TMPDIR:-/tmp}/bare.XXXXXX")
if [[ -z ${BARE_KEEP:-} ]]; then scratch+=("$root"); else echo "bare: the root stays at $root"; fi
tar -C "$root" -xf "$cache/minbase.tar"
chmod 755 "$root" # mktemp gives 0700, and instances run as another user
rm -f "$root/etc/apt/sources.list"
copy_access
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

access=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
while IFS= read -r -d '' variable; do
  case $variable in
  PIP_CERT=* | PIP_INDEX_URL=* | PIP_PROXY=* | http_proxy=* | https_proxy=* | no_proxy=* | HTTP_PROXY=* | HTTPS_PROXY=* | NO_PROXY=*)
    access+=("$variable")
    ;;
  esac
done < <(env -0)

checkout=/src
if [[ $as != root ]]; then
  checkout='/home/dev/my checkout'
  enter shared useradd --create-home --shell /bin/bash dev
fi
git clone -q --no-hardlinks "$project" "$root$checkout"
if [[ $as == sudo ]]; then
  echo "+ apt-get install sudo, for the user dev"
  enter shared sh -c 'apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install sudo' >/dev/null
  echo 'dev ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/dev"
elif [[ $as == user ]]; then
  echo "+ ./dev setup, as root"
  # shellcheck disable=SC2016
  enter shared HOME=/root bash -c 'cd "$0" && ./dev setup' "$checkout"
fi
if [[ $as != root ]]; then enter shared chown -R dev:dev "$checkout"; fi

echo "+ $* (bare Debian 12, as $as, commit $(git -C "$project" rev-parse --short HEAD))"
result=0
as_somebody shared "$@" || result=$?
if [[ $result == 0 && -n $again ]]; then
  echo "+ $* (again, without a network)"
  as_somebody alone "$@" || result=$?
fi
echo "bare: exit $result"
exit "$result"
