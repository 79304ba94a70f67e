#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install the Debian packages that a make target needs:
# setup-debian.sh [build|python|test|bench|check]
#
# Instant when everything is there: dpkg is asked first, and apt runs only for what is missing.
# Works as root, or with sudo. Where there is no apt, it says what the build needs and goes on, so
# that `make` works on other systems too once their own packages are installed.
set -eu

build='gcc libc6-dev cmake ninja-build pkg-config libcairo2-dev libyaml-dev libffi-dev
       libcurl4-openssl-dev libssl-dev'
python="$build python3 python3-dev python3-venv"
tests="$python g++ libcmocka-dev libjansson-dev locales mandoc python3-dbg"
bench="$python g++ libtbb-dev mawk parallel"
check="$tests clang clang-tidy clang-format libclang-rt-14-dev llvm cppcheck man-db
       zsh fish"

case "${1:-build}" in
build) packages=$build ;;
python) packages=$python ;;
test) packages=$tests ;;
bench) packages=$bench ;;
check) packages=$check ;;
*)
    echo "usage: $0 [build|python|test|bench|check]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup: no apt here; this needs what Debian calls: $packages" >&2
    exit 0
fi

# Word splitting is what makes a list of the packages.
# shellcheck disable=SC2086
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null |
    sed -n 's/^installed //p')
missing=
for package in $packages; do
    printf '%s\n' "$installed" | grep -qxF "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: run this as root first: apt-get install$missing" >&2
        exit 1
    fi
    as_root='sudo env DEBIAN_FRONTEND=noninteractive'
fi
export DEBIAN_FRONTEND=noninteractive
echo "setup: installing$missing" >&2
apt="$as_root apt-get -q -o DPkg::Lock::Timeout=600"
# Another setup may hold the lists' lock, for which apt does not wait; the install says so if the
# lists were really needed.
$apt update >/dev/null || echo "setup: apt-get update failed; trying with the lists there are" >&2
# shellcheck disable=SC2086
$apt install -y --no-install-recommends $missing >/dev/null
