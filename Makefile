# SPDX-License-Identifier: Apache-2.0
# The short way to everything. Each target installs what it needs on a fresh Debian 12 (as root or
# with sudo), configures, builds and runs. CMake and CMakePresets.json do the work: without make it
# is `cmake --preset default && ninja -C build && ctest --test-dir build`.

PREFIX ?= /usr/local
DESTDIR ?=
SETUP = tools/setup-debian.sh
# FILES may name the text to count in `make demo`.
FILES ?=

.PHONY: all help demo test bench check install asan tsan fuzz tidy clean

all:
	$(SETUP) build
	cmake --preset default -DLITHOPS_TESTS=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	ninja -C build

help:
	@echo 'make demo     count the words of the text files of this machine, with pictures of the run'
	@echo 'make test     build and run all tests'
	@echo 'make bench    compare with the peers and with what this machine can do'
	@echo 'make check    everything that CI does (.ci/run)'
	@echo 'make install  DESTDIR= PREFIX=/usr/local'
	@echo 'make asan | tsan | fuzz | tidy | clean'

demo: all
	tools/demo $(FILES)

test:
	$(SETUP) test
	tools/run-tests default

bench:
	$(SETUP) bench
	$(MAKE) --no-print-directory all
	cmake -UCMAKE_CXX_COMPILER build >/dev/null # it may have been missing before
	bench/run

check:
	.ci/run

install: all
	DESTDIR=$(DESTDIR) cmake --install build
	[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig

asan tsan:
	$(SETUP) check
	tools/run-tests $@

fuzz:
	$(SETUP) check
	tools/run-fuzzers

tidy:
	$(SETUP) check
	tools/lint

clean:
	rm -rf build build-clang build-asan build-tsan build-fuzz build-ci
