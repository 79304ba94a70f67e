# SPDX-License-Identifier: Apache-2.0
# The short way to everything. Each target installs what it needs on a fresh Debian 12 (as root or
# with sudo), configures, builds and runs. CMake and CMakePresets.json do the work: without make it
# is `cmake --preset default && ninja -C build && ctest --test-dir build`.

PREFIX ?= /usr/local
DESTDIR ?=
SETUP = tools/setup-debian.sh
# FILES may name the text to count in `make demo`.
FILES ?=

.PHONY: all help demo python test bench check install test-airflow airflow-demo asan tsan fuzz tidy clean

all:
	$(SETUP) build
	cmake --preset default -DLITHOPS_TESTS=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	ninja -C build

help:
	@echo 'make demo     count the words of the text files of this machine, with pictures of the run'
	@echo 'make python   the Python package, in .venv'
	@echo 'make test     build and run all tests'
	@echo 'make test-airflow   test the Airflow provider on a whole Airflow'
	@echo 'make airflow-demo   run an Airflow with the example DAGs, in a scratch home'
	@echo 'make bench    compare with the peers and with what this machine can do'
	@echo 'make check    everything that CI does (.ci/run)'
	@echo 'make install  DESTDIR= PREFIX=/usr/local'
	@echo 'make asan | tsan | fuzz | tidy | clean'

demo: all
	tools/demo $(FILES)

python:
	$(SETUP) python
	tools/python-venv

test:
	$(SETUP) test
	tools/run-tests default
	tools/run-python-tests
	tools/check-refleaks || [ $$? = 77 ] # no debug build of Python: it says so
	airflow/tests/run quick || [ $$? = 77 ] # Airflow cannot be had: it says so

test-airflow:
	$(SETUP) python
	airflow/tests/run live

airflow-demo:
	$(SETUP) python
	airflow/tests/run setup
	build-airflow/bin/python airflow/demo

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
	rm -rf build build-clang build-asan build-tsan build-fuzz build-ci build-python build-airflow .venv
