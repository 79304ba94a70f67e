#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install the Debian packages that a make target needs:
# setup-debian.sh [build|python|docs|wheels|deb|hosts|slurm|kubernetes|airflow-celery|test|bench|check]
#
# Instant when everything is installed: it asks dpkg first, and runs apt only for what is missing.
# Works as root or with sudo. Without apt it says what the build needs and goes on, so that `make`
# works on other systems once their own packages are installed.
set -eu

build='gcc libc6-dev cmake ninja-build pkg-config libcairo2-dev libyaml-dev libffi-dev
       libcurl4-openssl-dev libssl-dev zlib1g-dev libzstd-dev libbz2-dev librabbitmq-dev'
python="$build python3 python3-dev python3-venv"
wheels="$python binutils make dpkg-dev patch openssl debootstrap bzip2 zstd"
deb="$build debhelper dpkg-dev lintian debootstrap bzip2 zstd"
hosts="openssh-server openssh-client iproute2"
images="podman runc docker.io"
slurm="slurmctld slurmd slurm-client munge iproute2"
tests="$python g++ libcmocka-dev libjansson-dev locales mandoc nginx-light python3-dbg
       ceph-mon ceph-osd radosgw ceph-common libfaketime redis-server rabbitmq-server openssl
       swift-proxy swift-account swift-container swift-object memcached
       prometheus-pushgateway docker-registry $hosts $images $slurm"
airflow_celery="$python postgresql redis-server openssl"
kubernetes="$tests containerd containernetworking-plugins curl"
bench="$python g++ libtbb-dev mawk parallel nginx-light ceph-mon ceph-osd radosgw ceph-common"
check="$tests $wheels $deb clang clang-tidy clang-format libclang-rt-14-dev llvm cppcheck man-db
       zsh fish ccache"

case "${1:-build}" in
build) packages=$build ;;
python) packages=$python ;;
docs) packages="$build python3 python3-venv" ;;
wheels) packages=$wheels ;;
deb) packages=$deb ;;
hosts) packages=$hosts ;;
slurm) packages=$slurm ;;
kubernetes) packages=$kubernetes ;;
airflow-celery) packages=$airflow_celery ;;
test) packages=$tests ;;
bench) packages=$bench ;;
check) packages=$check ;;
*)
    echo "usage: $0 [build|python|docs|wheels|deb|hosts|slurm|kubernetes|airflow-celery|test|bench|check]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup: no apt here; install what Debian calls: $packages" >&2
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
# apt does not wait if another setup has locked the lists. If the lists were really needed, the
# install fails and says so.
$apt update >/dev/null || echo "setup: apt-get update failed; going on with the lists at hand" >&2
# Packages of servers would start them now and at every boot; tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$as_root rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
fi
# shellcheck disable=SC2086
$apt install -y --no-install-recommends $missing >/dev/null
for package in $missing; do
    case $package in
    nginx-light) service=nginx ;;
    docker.io) service="docker.service docker.socket containerd.service" ;;
    slurmctld | slurmd | munge | redis-server | rabbitmq-server | memcached | prometheus-pushgateway | docker-registry | postgresql) service=$package ;;
    swift-*) service=$(dpkg -L "$package" | sed -n 's#^/lib/systemd/system/\([^@]*\)$#\1#p') ;;
    *) continue ;;
    esac
    # shellcheck disable=SC2086
    [ ! -d /run/systemd/system ] || $as_root systemctl disable -q $service
done
