# SPDX-License-Identifier: Apache-2.0
# The short way to everything. Each target installs what it needs on a fresh Debian 12 (as root or
# with sudo), configures, builds and runs. CMake and CMakePresets.json do the work: without make it
# is `cmake --preset default && ninja -C build && ctest --test-dir build`.

PREFIX ?= /usr/local
DESTDIR ?=
SETUP = tools/setup-debian.sh
# FILES may name the text to count in `make demo`.
FILES ?=

# `make wheels` builds for these Pythons, `make check-wheels` tries them on these systems; all if empty.
PYTHONS ?=
SUITES ?=

.PHONY: all help demo demo-hosts python wheels check-wheels test bench soak soak-plans soak-invoked soak-kills check install test-airflow test-airflow-celery test-storages test-infinispan test-kubernetes test-machines test-lambda test-singularity test-batch test-code-engine test-queues bench-kubernetes airflow-demo docs deb check-deb asan tsan fuzz tidy clean

all:
	$(SETUP) build
	cmake --preset install -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	ninja -C build-install

help:
	@echo 'make demo     count the words of the text files of this machine, with pictures of the run'
	@echo 'make demo-hosts   the same on three hosts, which are namespaces of this machine (as root)'
	@echo 'make python   the Python package, in .venv'
	@echo 'make wheels   Python wheels for all systems since 2020, in dist/; check-wheels tries them'
	@echo 'make deb      packages of Debian for C users, in dist/; check-deb tries them'
	@echo 'make test     build and run all tests'
	@echo 'make test-kubernetes   build a real Kubernetes (some 10 minutes, once) and test the backend k8s on it;'
	@echo '                PODS=10000: and so many pods that kwok makes up, which takes some more minutes'
	@echo 'make test-airflow   test the Airflow provider on a whole Airflow'
	@echo 'make test-airflow-celery   the same with PostgreSQL and Celery, killed and restarted: before a release'
	@echo 'make test-infinispan   test the backend infinispan on a real server, which it installs'
	@echo 'make test-queues   test the brokers aws_sqs, gcp_pubsub and azure_queue on servers that it installs'
	@echo 'make test-storages   jobs through each storage and monitor that has a server here; ROWS="swift redis/rabbitmq"'
	@echo 'make test-singularity   the conformance suite in containers of Apptainer, in another Debian, as root'
	@echo 'make test-batch    the same on jobs of AWS Batch, which moto keeps and processes here are'
	@echo 'make test-code-engine  the same on jobs of IBM Code Engine, whose SDK checks what is sent'
	@echo 'make test-machines   the standalone backends of clouds on emulated machines, as root'
	@echo 'make test-lambda   the conformance suite on functions of AWS Lambda, in its emulator'
	@echo 'make airflow-demo   run an Airflow with the example DAGs, in a scratch home'
	@echo 'make bench    compare with the peers and with what this machine can do'
	@echo 'make bench-kubernetes   what 50 pods take there, beside a Job of `true`'
	@echo 'make soak     a million calls in Python and in C: memory must not grow'
	@echo 'make soak-kills KILLS=1000   detached jobs while clients, supervisors and workers are killed'
	@echo 'make soak-plans PLANS=1000   jobs through an S3 server whose requests are disturbed, by plans that seeds make'
	@echo 'make soak-invoked PLANS=200   jobs whose workers are invoked by HTTP at an endpoint that fails, by plans that seeds make'
	@echo 'make docs     the documentation as a site, in build-docs/html'
	@echo 'make check    everything that CI does (.ci/run)'
	@echo 'make install  DESTDIR= PREFIX=/usr/local'
	@echo 'make asan | tsan | fuzz | tidy | clean'

demo: all
	tools/demo $(FILES)

demo-hosts: all
	$(SETUP) hosts
	tools/demo-hosts $(FILES)

python:
	$(SETUP) python
	tools/python-venv

wheels:
	$(SETUP) wheels
	tools/wheels/build $(PYTHONS)

check-wheels: wheels
	tools/wheels/check $(SUITES)

deb:
	$(SETUP) deb
	tools/build-deb

check-deb: deb
	tools/check-deb $(SUITES)

test:
	$(SETUP) test
	tests/servers/setup-azurite
	tools/run-tests default
	tools/run-python-tests
	LITHOPS_TEST_BACKEND=process XDG_CACHE_HOME=$(CURDIR)/build/tests/cache tools/run-python-tests \
	    $(addprefix python/tests/test_package_,functions.py binding.py futures.py map_reduce.py waiting.py)
	LITHOPS_TEST_BACKEND=process LITHOPS_TEST_TRANSPORT=storage XDG_CACHE_HOME=$(CURDIR)/build/tests/cache \
	    tools/run-python-tests \
	    $(addprefix python/tests/test_package_,functions.py binding.py futures.py map_reduce.py waiting.py)
	.venv/bin/python bench/soak.py --quick
	tools/check-refleaks || [ $$? = 77 ] # no debug build of Python: it says so
	airflow/tests/run quick || [ $$? = 77 ] # Airflow cannot be had: it says so

# ROWS may name storages, monitors, or parts of the tests: all if empty.
ROWS ?=
test-storages:
	$(SETUP) test
	tests/servers/setup-azurite
	tests/servers/setup-queues
	tests/servers/setup-infinispan
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build
	tools/python-venv
	tests/run-storages $(ROWS)

test-infinispan:
	$(SETUP) test
	tests/servers/setup-infinispan
	tools/run-tests default -R infinispan

test-queues:
	$(SETUP) test
	tests/servers/setup-queues
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build lithops_command lithops_all_modules carrier_azure_queue_test carrier_sqs_test \
	    carrier_pubsub_test compute_through_test
	ctest --test-dir build --output-on-failure -R '^carrier_(azure_queue|sqs|pubsub)_test$$'
	tests/run-storages suite azure_queue aws_sqs gcp_pubsub

test-kubernetes:
	$(SETUP) kubernetes
	tests/servers/setup-kubernetes
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build lithops_command lithops_all_modules compute_k8s_test k8s_test $(if $(PODS),bench_ours_fates)
	ctest --test-dir build --output-on-failure -R '^(compute_k8s|k8s)_test$$'
	tools/python-venv
	LITHOPS_TEST_BACKEND=k8s LITHOPS_TEST_K8S_PYTHON=$(CURDIR)/.venv/bin/python timeout 1800 \
	    tests/servers/with-kubernetes tests/servers/with-s3 tools/run-python-tests python/tests/test_kubernetes.py \
	    $(addprefix python/tests/test_package_,functions.py binding.py map_reduce.py) \
	    $(addprefix --deselect=python/tests/test_package_,$(NOT_IN_PODS)) || [ $$? = 77 ]
	[ -z "$(PODS)" ] || { tests/servers/setup-kwok && timeout 5400 bench/kubernetes-scale --pods $(PODS); } || [ $$? = 77 ]

# They are about files that workers see, too, or about packages that the image lacks; one makes hundreds of calls, one after the
# other.
NOT_IN_PODS = $(addprefix functions.py::test_,include_modules extra_env_is_there_when_modules_are_imported \
    new_functions_in_place_of_old_ones) binding.py::test_numpy_and_pandas

bench-kubernetes:
	$(SETUP) kubernetes
	tests/servers/setup-kubernetes
	cmake --preset default -DLITHOPS_TESTS=OFF >/dev/null
	ninja -C build lithops_command lithops_all_modules bench_ours_pods
	bench/kubernetes

test-airflow:
	$(SETUP) python
	airflow/tests/run live

test-airflow-celery:
	$(SETUP) python
	$(SETUP) airflow-celery
	airflow/tests/run celery
	airflow/tests/with-postgresql airflow/tests/run live

test-machines:
	$(SETUP) test
	tests/servers/setup-queues
	tests/servers/setup-machines
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build lithops_command lithops_all_modules cli_functions
	tests/servers/with-machines ec2 build-queues/venv/bin/python tests/integration/ec2_test.py \
	    build/bin/lithops build/tests/cli_functions.so
	tests/servers/with-machines gce python3 tests/integration/gce_test.py \
	    build/bin/lithops build/tests/cli_functions.so
	tests/servers/with-machines azure python3 tests/integration/azure_machines_test.py \
	    build/bin/lithops build/tests/cli_functions.so
	tests/servers/with-machines ibm python3 tests/integration/ibm_machines_test.py \
	    build/bin/lithops build/tests/cli_functions.so

test-lambda:
	$(SETUP) test
	tests/servers/setup-lambda
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build lithops_command compute_lambda_test
	tests/servers/with-lambda build/tests/compute_lambda_test

test-singularity:
	$(SETUP) wheels
	$(SETUP) test
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build lithops_command lithops_all_modules compute_singularity_test
	LITHOPS_MODULE_PATH=/mnt/build/lib/lithops tests/servers/with-singularity \
	    $(CURDIR)/build/tests/compute_singularity_test

test-batch:
	$(SETUP) test
	tests/servers/setup-lambda
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build lithops_command compute_batch_test
	tests/servers/with-batch build/tests/compute_batch_test

test-code-engine:
	$(SETUP) test
	tests/servers/setup-code-engine
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build lithops_command compute_batch_test
	LITHOPS_TEST_BATCH_SERVICE=code_engine tests/servers/with-batch build/tests/compute_batch_test

airflow-demo:
	$(SETUP) python
	airflow/tests/run setup
	build-airflow/bin/python airflow/demo

bench:
	$(SETUP) bench
	cmake --preset default -DLITHOPS_TESTS=OFF -UCMAKE_CXX_COMPILER >/dev/null # it may have been missing
	ninja -C build
	bench/run

soak:
	$(SETUP) bench
	cmake --preset default -DLITHOPS_TESTS=OFF >/dev/null
	ninja -C build bench_ours_soak
	build/bench/soak 1000000
	tools/python-venv
	.venv/bin/python bench/soak.py --png build/bench/soak.png

PLANS ?= 100
FIRST ?= 1
soak-plans:
	$(SETUP) test
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build lithops_command plans_test
	XDG_CACHE_HOME=$(CURDIR)/build/tests/cache tests/servers/with-s3 build/tests/plans_test $(PLANS) $(FIRST)

soak-invoked:
	$(SETUP) test
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build lithops_command lithops_all_modules invoked_test
	for service in redis:knative redis:openwhisk s3:aws_lambda; do \
	    XDG_CACHE_HOME=$(CURDIR)/build/tests/cache tests/servers/with-$${service%:*} \
	        build/tests/invoked_test $${service#*:} $(PLANS) $(FIRST) || [ $$? = 77 ] || exit 1; \
	done

KILLS ?= 1000
CALLS ?= 100000
soak-kills:
	$(SETUP) test
	cmake --preset default -DLITHOPS_TESTS=ON >/dev/null
	ninja -C build lithops_command detached_kills_test
	build/tests/detached_kills_test $(KILLS) $(CALLS) $(FIRST)

docs: all
	$(SETUP) docs
	tools/build-docs

check:
	.ci/run

install: all
	DESTDIR=$(DESTDIR) cmake --install build-install
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
	rm -rf build build-install build-clang build-asan build-tsan build-fuzz build-ci build-python build-cp* build-airflow build-lambda build-docs build-wheels build-deb .venv dist
