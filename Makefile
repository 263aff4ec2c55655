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
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: programs ## Show what Quorate does, with kubectl and a real control plane; leaves nothing behind
	cargo build --locked --bin quorate --example controlplane
	@cargo run --locked --quiet --example controlplane -- demo

.PHONY: cluster
cluster: programs ## Leave a control plane running with Quorate in front of it, until Ctrl-C
	cargo build --locked --bin quorate --example controlplane
	@cargo run --locked --quiet --example controlplane -- up

.PHONY: test
test: lint programs ## Everything that CI checks: lint, then all tests, then the docs
	cargo test --locked
	RUSTDOCFLAGS="$(DENY_WARNINGS)" cargo doc --locked --no-deps
	@echo "make test: lint, tests and docs passed"

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
manifests: ## Write the policies that deploy/manifests installs, from policies/
	@{ sed -n '/^data:/q;p' deploy/manifests/policies.yaml; echo data:; \
	for name in baseline production; do \
		echo "  $$name.yaml: |"; sed 's/^./    &/' "policies/$$name.yaml"; \
	done; } >deploy/manifests/policies.yaml.new
	@mv deploy/manifests/policies.yaml.new deploy/manifests/policies.yaml

.PHONY: docs
docs: ## Write docs/rules.md, from the comments in src/rules/
	QUORATE_WRITE_DOCS=1 cargo test --locked --quiet --test integration rules_reference:: >/dev/null

.PHONY: clean
clean: ## Remove what was built here; the control plane's programs stay in the user's cache
	cargo clean
	rm -f certs/*.pem

.PHONY: tools
tools:
	@tests/tools.sh >/dev/null

# The programs of the control plane: built once into the user's cache, found there ever after.
.PHONY: programs
programs:
	@tests/controlplane/build.sh >/dev/null
