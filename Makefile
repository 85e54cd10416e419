# `make` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run demo pictures test dashboard chaos attack model lint openapi clients fuzz-api deny deb static dist deploy-check services services-stop \
	bench soak

CARGO ?= cargo
SARBAN := $(or $(CARGO_TARGET_DIR),target)/debug/sarban
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release/sarban
# Only `make static` asks for it.
MUSL = $(shell uname -m)-unknown-linux-musl
STATIC_PROGRAM = $(or $(CARGO_TARGET_DIR),target)/$(MUSL)/release/sarban

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

run: ## build and start a panel at http://127.0.0.1:8000, on SQLite in this folder, without Redis
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: install one (on Debian: apt-get install gcc libc6-dev)" >&2; exit 1; }
	$(CARGO) build --locked
	@echo
	@echo "The panel starts at http://127.0.0.1:8000 and stores its data in this folder."
	@echo "Without an admin yet, the log below has a link at which the first one is made in a browser. Or, from a second terminal"
	@echo "in this folder:"
	@echo
	@echo "    SARBAN_ADMIN_PASSWORD='a password' $(SARBAN) admin create -u root --sudo"
	@echo
	@UVICORN_HOST=127.0.0.1 exec $(SARBAN) serve

demo: ## run a panel with a small living fleet to look at, in a temporary folder, until Ctrl-C (PORT: a free one)
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	$(CARGO) build --locked --bin sarban --example test_node
	@exec python3 tests/support/demo.py $(SARBAN) $(dir $(SARBAN))examples/test_node $(if $(PORT),--port $(PORT))

pictures: ## take the README's pictures of the dashboard from the demo (needs Chromium and Node)
	$(CARGO) build --locked --bin sarban --example test_node
	@tests/support/dashboard.sh pictures

# Most of the time of the tests is waiting, for leases and time limits.
test: export RUST_TEST_THREADS ?= $(shell expr 2 '*' $$(nproc))
test: ## run every test, on a Redis and a PostgreSQL started for it, and the dashboard's in a browser
	@tests/support/services.sh run tests/support/rust_tests.sh $(CARGO)
	@$(CARGO) build --locked --bin sarban --example test_node
	@tests/support/services.sh run tests/support/dashboard.sh test

dashboard: ## build src/dashboard/dist from dashboard/ (needs Node 20.19)
	@tests/support/dashboard.sh build

chaos: ## inject faults into a running cluster; ARGS='--seed 7 --faults 800 --sentinel-faults 220' takes an hour
	@tests/support/services.sh run $(CARGO) test --locked --test chaos -- $(ARGS)

attack: ## attack panels on this machine, longer than `make test` does: floods of connections, large and endless requests
	@SARBAN_ATTACK=long tests/support/services.sh run $(CARGO) test --locked --release \
		--config 'profile.release.package.sarban.debug-assertions=true' --test cluster -- --test-threads=2 attack::

bench: ## measure the panel under load, write docs/performance-tables.md and print what got slower (BENCH="--users 100000" measures less)
	$(CARGO) build --locked --release --bin sarban --example seed --example bare --example test_node
	@tests/support/services.sh run sh -c "python3 benches/http/bench.py $(BENCH) && python3 benches/http/tasks.py $(TASKS) \
		&& python3 benches/http/tail.py && python3 benches/http/overload.py && python3 benches/http/scale_out.py \
		&& python3 benches/http/edge.py && python3 benches/http/back_up.py"

soak: ## measure memory over an hour of load and write docs/performance-tables.md (SOAK="--users 1000000 --minutes 10")
	$(CARGO) build --locked --release --bin sarban --example seed
	@tests/support/services.sh run python3 benches/http/soak.py $(SOAK)

model: ## check the lease protocol in every order of its steps, with three candidates
	@$(CARGO) test --locked --test model -- --candidates 3

lint: ## formatting, clippy with warnings denied, layers, and names that deploy/, the image and docs/settings.md use
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --test fast -- layers::
	python3 -m doctest benches/http/compare.py
	python3 tests/deploy/context.py
	python3 tests/deploy/metrics.py
	python3 tests/deploy/settings.py

openapi: ## regenerate openapi.json after a change of the API
	SARBAN_WRITE_OPENAPI=1 $(CARGO) test --locked --test fast -- the_committed_document

clients: ## regenerate the table in docs/clients.md after a change of subscription formats
	@SARBAN_WRITE_CLIENTS=1 tests/support/services.sh run $(CARGO) test --locked --test fast -- table_in_the_documentation

fuzz-api: ## send a fresh panel valid and invalid requests made from openapi.json, and fail on a 5xx or an undocumented answer (SECONDS=300)
	@# With an example, so that dependencies have the features that tests need and are not compiled again.
	$(CARGO) build --locked --bin sarban --example test_node
	@tests/support/fuzz_api.sh $(SARBAN) $(or $(SECONDS),300)

deny: ## check licences, bans and sources of all dependencies (needs cargo-deny)
	cargo-deny --locked check licenses bans sources

deb: ## build a Debian package for this release of Debian into target/dist
	$(CARGO) build --locked --release --bin sarban
	@deploy/debian/build.sh $(RELEASE) target/dist

static: ## build a release program without shared libraries for every Linux, with musl, and try it (needs root)
	@command -v musl-gcc >/dev/null || { echo "musl-gcc is missing: install it (on Debian: apt-get install musl-tools)" >&2; exit 1; }
	rustup target add $(MUSL)
	CC_$(subst -,_,$(MUSL))=musl-gcc $(CARGO) build --locked --release --bin sarban --target $(MUSL)
	@! readelf --dynamic $(STATIC_PROGRAM) | grep NEEDED || { echo "the program needs shared libraries" >&2; exit 1; }
	@$$(test "$$(id -u)" = 0 || echo sudo) python3 tests/deploy/image.py $(STATIC_PROGRAM)

dist: $(if $(STATIC),static) ## build a release into target/dist: Debian package, archive, components (SBOM), checksums; STATIC=1: also for every Linux
	$(CARGO) build --locked --release --bin sarban
	@$(if $(STATIC),STATIC_PROGRAM=$(STATIC_PROGRAM)) deploy/dist.sh $(RELEASE) target/dist

deploy-check: ## check the files of deploy/ with their own tools, and run proxies, back-ups, edges, image and packages (needs root)
	bash tests/deploy/check.sh
	$(CARGO) build --locked --bin sarban --example test_node
	@tests/support/services.sh run python3 tests/deploy/proxies.py
	@tests/support/services.sh run python3 tests/deploy/backup.py
	@python3 tests/deploy/edge.py $(SARBAN)
	@python3 tests/deploy/dist.py $(SARBAN)
	@$$(test "$$(id -u)" = 0 || echo sudo) python3 tests/deploy/image.py $(SARBAN)
	@$$(test "$$(id -u)" = 0 || echo sudo) python3 tests/deploy/package.py $(SARBAN)
	@$$(test "$$(id -u)" = 0 || echo sudo) python3 tests/deploy/edge_unit.py $(SARBAN)

services: ## start a Redis and a PostgreSQL, leave them running, and print exports: eval "$(make -s services)"
	@tests/support/services.sh start

services-stop: ## stop the Redis and the PostgreSQL that `make services` started
	@tests/support/services.sh stop
