#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [COMMAND…]: runs a command (./dev demo --exit without arguments) on the last commit in a bare Debian 12: a fresh
# debootstrap root of the minbase variant, so that no install step hides in a prepared machine. As root; loopback and the
# package sources are this machine's, everything else is the root's own. The bootstrapped system is cached outside of the
# checkout (BARE_CACHE) and unpacked anew each time; BARE_KEEP=1 leaves the root behind.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
cache=${BARE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postgres-apiserver}
if [[ $# == 0 ]]; then set -- ./dev demo --exit; fi

if [[ $(id -u) != 0 ]]; then
  echo "bare: needs root (debootstrap, chroot)" >&2
  exit 1
fi

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
  echo "+ debootstrap --variant=minbase bookworm $fresh (the mirror of this machine)"
  if ! debootstrap --variant=minbase bookworm "$fresh" "$(mirror)" >"$cache/bootstrap.log" 2>&1; then
    tail -n 20 "$cache/bootstrap.log" >&2
    rm -rf --one-file-system "$fresh"
    return 1
  fi
  rm -f "$fresh"/var/cache/apt/archives/*.deb
  tar -C "$fresh" -cf "$cache/minbase.tar.new" .
  mv "$cache/minbase.tar.new" "$cache/minbase.tar"
  rm -rf --one-file-system "$fresh"
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
exec chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb LANG=en_US.UTF-8 "$@"
'

if [[ ! -f $cache/minbase.tar ]]; then bootstrap; fi
root=$(mktemp -d "${TMPDIR:-/tmp}/bare.XXXXXX")
# The mounts live in a namespace of their own, so that what stands here is only files.
if [[ -z ${BARE_KEEP:-} ]]; then trap 'rm -rf --one-file-system "$root"' EXIT; else echo "bare: the root stays at $root"; fi
tar -C "$root" -xf "$cache/minbase.tar"
chmod 755 "$root" # mktemp gives 0700, and instances run as another user
rm -f "$root/etc/apt/sources.list"
copy_access
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
git clone -q --no-hardlinks "$project" "$root/src"

access=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
while IFS= read -r -d '' variable; do
  case $variable in
  PIP_CERT=* | PIP_INDEX_URL=* | PIP_PROXY=* | http_proxy=* | https_proxy=* | no_proxy=* | HTTP_PROXY=* | HTTPS_PROXY=* | NO_PROXY=*)
    access+=("$variable")
    ;;
  esac
done < <(env -0)
echo "+ $* (bare Debian 12, commit $(git -C "$project" rev-parse --short HEAD))"
result=0
# When the first process of the namespace ends, the kernel ends all others: nothing outlives the run.
# shellcheck disable=SC2016
unshare --mount --pid --fork --kill-child bash -c "$inside" bare "$root" "${access[@]}" \
  bash -c 'cd /src && "$@"' bare "$@" </dev/null || result=$?
echo "bare: exit $result"
exit "$result"
