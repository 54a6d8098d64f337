# Beava. Every target installs what it needs, says so, and does it only when it is missing.
#
#   make quickstart   build, then the main job on 336,776 real flights
#   make test         every test there is, each suite within its budget (.ci/budgets.toml)
#   make build        build/beava, build/libbeava.so, and the package importable from python/
#   make bench        the table of ratios of benchmarks/
#   make bench-operators  what each operator costs, into docs/operators.md
#   make operators    docs/operators.md and python/beava/operators.py, from the core's catalogue
#   make asan tsan    the C tests under sanitizers
#   make fuzz         every fuzz target for FUZZ_SECONDS (default 600)
#   make soak         the kill -9 loop for as long as KILLS asks
#   make power-loss   boots from as many states after power loss as POWER_STATES asks
#   make lint         clang-format, ruff, mypy
#   make wheel        dist/*.whl, repaired, installed into an empty environment and tried
#   make clean

SHELL := /bin/bash
INSTALL := .ci/install
JOBS ?= $(shell nproc)
VENV := .venv
PYTHON := $(VENV)/bin/python
FUZZ_SECONDS ?= 600
KILLS ?= 10000
POWER_STATES ?= 100000

.PHONY: quickstart test build bench bench-operators operators asan tsan fuzz soak power-loss lint format wheel clean deps-build deps-python \
	deps-c-tests deps-clang deps-bench

deps-build:
	@$(INSTALL) build
deps-c-tests:
	@$(INSTALL) build c-tests
deps-clang:
	@$(INSTALL) build c-tests clang
deps-bench:
	@$(INSTALL) build bench
deps-python:
	@$(INSTALL) python

build: deps-build deps-python
	@cmake -S . -B build -G Ninja -DBEAVA_TESTS=OFF -DBEAVA_LTO=ON >build.log 2>&1 || { cat build.log; exit 1; }
	@rm -f build.log
	@ninja -C build -j$(JOBS)
	@$(PYTHON) bindings/build_inplace.py

quickstart: build
	@$(PYTHON) docs/quickstart.py

test: deps-c-tests deps-clang deps-python
	@$(PYTHON) .ci/suites.py

asan: deps-c-tests
	@cmake -S . -B build-asan -G Ninja -DBEAVA_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=Debug -DBEAVA_BENCHMARKS=OFF >/dev/null
	@ninja -C build-asan -j$(JOBS)
	@ctest --test-dir build-asan --output-on-failure -j$(JOBS)

tsan: deps-c-tests
	@cmake -S . -B build-tsan -G Ninja -DBEAVA_SANITIZE=thread -DCMAKE_BUILD_TYPE=Debug -DBEAVA_BENCHMARKS=OFF >/dev/null
	@ninja -C build-tsan -j$(JOBS)
	@ctest --test-dir build-tsan --output-on-failure -j$(JOBS)

fuzz: deps-clang deps-python
	@$(PYTHON) .ci/fuzz.py --seconds $(FUZZ_SECONDS)

soak: build deps-c-tests
	@cmake -S . -B build-tests -G Ninja -DBEAVA_BENCHMARKS=OFF -DBEAVA_CRASH_POINTS=ON >/dev/null
	@ninja -C build-tests -j$(JOBS) beava
	@KILLS=$(KILLS) $(PYTHON) -m pytest -q -s tests/e2e/test_crash_points.py

power-loss: deps-c-tests
	@cmake -S . -B build-tests -G Ninja -DBEAVA_BENCHMARKS=OFF -DBEAVA_CRASH_POINTS=ON >/dev/null
	@ninja -C build-tests -j$(JOBS) apply_test_power_loss
	@POWER_STATES=$(POWER_STATES) build-tests/apply_test_power_loss

bench: build deps-bench
	@$(PYTHON) benchmarks/run.py

bench-operators: build
	@$(PYTHON) benchmarks/operators.py

operators: build
	@$(PYTHON) bindings/build_operators.py
	@$(PYTHON) docs/operators.py

lint: deps-clang deps-python
	@clang-format --dry-run --Werror $$(git ls-files '*.c' '*.h')
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

format: deps-clang deps-python
	@clang-format -i $$(git ls-files '*.c' '*.h')
	@$(VENV)/bin/ruff check --fix -q . ; $(VENV)/bin/ruff format -q .

wheel: deps-build deps-python
	@$(PYTHON) -m build --wheel --outdir dist .
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m auditwheel repair --wheel-dir dist dist/beava-*-linux_*.whl && rm -f dist/beava-*-linux_*.whl
	@$(PYTHON) -m pytest -q tests/python/test_wheel.py

clean:
	@rm -rf build build-* dist .venv *.egg-info python/*.egg-info python/beava/*.so
