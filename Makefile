# Quorate's tasks. `make` alone lists them.

.DEFAULT_GOAL := help
.NOTPARALLEL:

# How long `make fuzz` runs each target, and which.
SECONDS := 600
TARGETS :=

# CI fails on what a developer's build only warns about.
DENY_WARNINGS := -D warnings

.PHONY: help
help: ## List the tasks
	@echo "Needs Rust (rustup), Go 1.26 or newer, a C compiler and git; make test installs the rest by itself."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: programs ## Show what Quorate does, with kubectl and a real control plane; leaves nothing behind
	cargo build --locked --bin quorate --example controlplane
	@cargo run --locked --quiet --example controlplane -- demo

.PHONY: cluster
cluster: programs ## Leave a control plane running with Quorate in front of it, until Ctrl-C
	cargo build --locked --bin quorate --example controlplane
	@cargo run --locked --quiet --example controlplane -- up

.PHONY: test
test: lint programs binary ## Everything that CI checks: lint, all tests, the budgets of decisions, the docs
	cargo test --locked
	cargo bench --locked --quiet --bench budgets
	RUSTDOCFLAGS="$(DENY_WARNINGS)" cargo doc --locked --no-deps
	@echo "make test: lint, tests, budgets and docs passed"

.PHONY: load
load: ## Measure what idle, slow and greedy clients cost the others; takes 10 minutes, wants a quiet machine
	cargo build --locked --release --bin quorate
	cargo build --locked --release --example load
	@target=$${CARGO_TARGET_DIR:-target}; "$$target/release/examples/load" --quorate "$$target/release/quorate" $(LOAD)

# A missed budget is no reason to stop: the report says so.
.PHONY: bench
bench: ## Measure what Quorate costs, and write docs/performance.md; takes 19 minutes, wants a quiet machine
	@echo "bench: needs two processors, Linux with util-linux (taskset, setpriv), cmake, and what make test needs"
	@tests/tools.sh bench >/dev/null
	@tests/controlplane/build.sh >/dev/null
	@echo "bench: building, optimized as a release but for its link, and the image's binary, whose memory is measured"
	@deploy/image/context.sh >/dev/null
	cargo bench --locked --no-run --bench '*'
	@echo "bench: 1 of 6: decisions against their budgets; half a minute"
	-cargo bench --locked --quiet --bench budgets
	@echo "bench: 2 of 6: decisions, by criterion; a minute"
	cargo bench --locked --quiet --bench decision
	@echo "bench: 3 of 6: allocations; half a minute"
	cargo bench --locked --quiet --bench allocations
	@echo "bench: 4 of 6: HTTPS; seven minutes"
	@PATH="$$(tests/tools.sh bench):$$PATH" cargo bench --locked --quiet --bench https
	@echo "bench: 5 of 6: through the API server, memory and start; ten minutes"
	QUORATE_BENCH_MEMORY="$$(deploy/image/context.sh)/quorate" cargo bench --locked --quiet --bench cluster
	@echo "bench: 6 of 6: the report"
	cargo bench --locked --quiet --bench report

.PHONY: fuzz
fuzz: ## Fuzz each target for ten minutes (SECONDS=60 TARGETS=requests for less)
	@PATH="$$(tests/tools.sh fuzz):$$PATH" fuzz/run.sh $(SECONDS) $(TARGETS)

.PHONY: lint
lint: tools ## Formatting, clippy, shellcheck, yamllint, licences and advisories of dependencies
	cargo fmt --check
	git ls-files '*.sh' .ci/run | xargs shellcheck
	git ls-files '*.yaml' '*.yml' | xargs yamllint --strict
	tests/dependencies.sh
	cargo clippy --locked --all-targets -- $(DENY_WARNINGS)

.PHONY: fmt
fmt: ## Format the sources
	cargo fmt

.PHONY: manifests
manifests: ## Write deploy/manifests, deploy/enforce and the chart's copies of policies, from the chart and policies/
	QUORATE_WRITE_MANIFESTS=1 cargo test --locked --quiet --test integration chart::rendered:: >/dev/null

.PHONY: docs
docs: ## Write the references in docs/, from the sources
	QUORATE_WRITE_DOCS=1 cargo test --locked --quiet --test integration _reference:: >/dev/null

# Which tests record a row is in their sources; without one of them the table keeps the row it has.
.PHONY: reliability
reliability: programs ## Run the tests that docs/reliability.md names, and write it from what they found
	cargo test --locked --test integration -- $$(grep -rhozP 'record\(\s*"\K[a-z][^"]+' tests/integration | tr '\0' ' ')
	QUORATE_WRITE_DOCS=1 cargo test --locked --quiet --test integration reliability::table::the_table

.PHONY: image
image: ## Build the image, with buildah, podman or docker
	@deploy/image/build.sh

SOAK_MINUTES := 30

.PHONY: soak
soak: programs ## Load and faults for SOAK_MINUTES (30), watched for leaks; writes its row of docs/reliability.md
	cargo build --locked --release --bin quorate --example soak
	cargo run --locked --release --quiet --example soak -- --minutes $(SOAK_MINUTES)
	QUORATE_WRITE_DOCS=1 cargo test --locked --quiet --test integration reliability::table::the_table

.PHONY: clean
clean: ## Remove what was built here; the control plane's programs stay in the user's cache
	cargo clean
	rm -f certs/*.pem

.PHONY: tools
tools:
	@tests/tools.sh >/dev/null

# The release binary of the image, which tests look into; what they run otherwise is the debug one.
.PHONY: binary
binary:
	@deploy/image/context.sh >/dev/null

# The programs of the control plane: built once into the user's cache, found there ever after.
.PHONY: programs
programs:
	@tests/controlplane/build.sh >/dev/null
