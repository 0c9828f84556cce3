# What contributors and CI run. `make` alone lists it.
# Needed: Rust (stable), Node 20 with npm (Azurite), Python 3, git, make.

export CARGO_TERM_COLOR ?= never
# Under RUST_BACKTRACE=1 the Azure SDK walks the stack for each header that an answer does not have: a third of the time of a request.
export RUST_LIB_BACKTRACE ?= 0

# Every cargo call with all features selects an example or the tests: then the development dependencies take part in choosing the
# features of all others, and calls share what was built.
ALL := --locked --all-features
BIN := $(or $(CARGO_TARGET_DIR),target)/debug

.PHONY: help demo demo-memory demo-local test soak mutants check fmt clippy docs checks records examples check-infra capacity emulators clean test-containers lint-containers journal-figures test-entra fuzz
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: ## start the emulators, store a household, play a day, read everything back, show what each call cost
	cargo build --locked --all-features --bin openjibo-store
	env -u OPENJIBO_EMULATORS -u AZURE_COSMOS_ENDPOINT $(BIN)/openjibo-store demo --store emulator:

demo-memory: ## the same in memory: builds no SDK and needs no emulators
	cargo run --locked --features cli --bin openjibo-store -- demo --store memory:

demo-local: ## the same in a local directory, twice: the second run finds what the first left; JOURNAL=path for one of your own
	cargo build --locked --features cli,journal --bin openjibo-store
	$(if $(JOURNAL),,rm -rf target/demo-journal)
	for run in 1 2; do $(BIN)/openjibo-store demo --store journal:$(or $(JOURNAL),target/demo-journal) || exit 1; done

test: ## build once, start one set of emulators, run all tests and the examples in the documentation
	python3 tests/support/run_tests.py

test-containers: ## the behaviour suite on Azurite in a container, COSMOS=1: on the Cosmos emulator too; needs a Docker engine
	python3 tests/containers/run.py $(if $(filter 1,$(COSMOS)),--cosmos)

lint-containers: ## clippy of the crate of the container lane: apart from `check`, because it builds the SDK with another set of features
	cargo clippy --locked -p openjibo-store-containers --all-targets --all-features -- -D warnings

# Nothing is installed: cargo-fuzz and a nightly compiler are asked for. The crate forbids unsafe code, so no sanitizer is needed for it, and
# the bound on memory is kept by the targets' own allocator. What libFuzzer finds new stays out of the committed corpus.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
fuzz: ## run each fuzz target for a minute, FUZZ_SECONDS=n: for n seconds; needs cargo-fuzz and a nightly compiler
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "make fuzz needs: rustup toolchain install nightly && cargo install cargo-fuzz --locked" >&2; exit 1; }
	cargo +nightly fuzz build --sanitizer none
	set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/target/found/$$target; echo "== $$target"; \
		cargo +nightly fuzz run --sanitizer none $$target fuzz/target/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1; \
	done

test-entra: ## storage with tokens over HTTPS alone, of what make test runs; prints how many tests and properties ran
	cargo test $(ALL) --test it -- entra:: --nocapture

soak: ## 100,000 writes under lost answers, in rounds, judged from the store's content, then longer runs of what make test samples; prints the figures
	OPENJIBO_CAMPAIGN_WRITES=100000 python3 tests/support/run_tests.py campaign --nocapture
	OPENJIBO_HISTORIES=2000 python3 tests/support/run_tests.py linearizable --nocapture
	OPENJIBO_CUTS=all cargo test $(ALL) --lib a_log_cut_at_any_byte -- --nocapture
	OPENJIBO_JOURNAL_SEEDS=1+40 cargo test $(ALL) --lib random_calls_failures -- --nocapture

journal-figures: ## measure the journal in a release build, as in docs/performance.md
	cargo run --locked --release --features journal --example journal_figures

# Three runs, each with the fewest features that its tests need: none of them starts an emulator. The report is in target/mutants. Then every
# fault of the sloppy backend, of which `make test` tries a sample.
MUTANTS := cargo mutants --no-shuffle --baseline run -o target/mutants
mutants: ## mutation tests of outcomes, delivery, committer, fence and ledger, and every fault of the sloppy backend; needs cargo-mutants
	mkdir -p target/mutants
	-$(MUTANTS)/outcomes -f 'src/backend/outcome/*.rs' -f src/backend/delivery.rs -f src/backend/pace.rs \
		--cargo-test-arg=--lib -- -- backend::
	-$(MUTANTS)/ledger -f src/stores/media/publish.rs -f src/stores/record/idempotency.rs --features conformance \
		-- --lib --test it -- stores:: conformance::memory::media conformance::memory::torn conformance::memory::idempotency
	-$(MUTANTS)/partition -f 'src/azure/tables/committer/*.rs' -f src/azure/tables/known.rs -f 'src/azure/tables/known/*.rs' \
		-f src/azure/tables/queue.rs -f src/azure/tables/state.rs -f src/azure/tables/fence.rs -f src/azure/tables/decide.rs -f src/azure/tables/head.rs \
		--features azure --cargo-test-arg=--lib -- -- azure::tables::tests:: azure::tables::committer azure::tables::decide azure::tables::partition_queue \
		azure::tables::head azure::tables::known azure::tables::queue
	python3 tests/support/mutants.py target/mutants
	OPENJIBO_SLOPPY=all cargo test --locked --features conformance --test it sloppy:: -- --nocapture

check: fmt clippy examples docs checks ## format, lints of six feature sets, examples, documentation, docs/records.md, the checks of tests/support/checks; needs no emulator

fmt:
	cargo fmt --all --check

# Small feature sets first. All targets: the tests of a feature set are linted with it.
clippy:
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --features conformance -- -D warnings
	cargo clippy --locked --all-targets --features cli -- -D warnings
	cargo clippy --locked --all-targets --features journal,conformance -- -D warnings
	cargo clippy --locked --all-targets --features azure -- -D warnings
	cargo clippy --locked --all-targets --all-features -- -D warnings

# The same application code on both sides of the feature.
examples:
	cargo check --locked --examples
	cargo check --locked --examples --features azure
	cargo check --locked --bin openjibo-store --features cli,journal
	cargo check --locked --bin openjibo-store --features cli,azure

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc $(ALL) --no-deps --lib --example cloud_host

checks:
	python3 tests/support/checks/dependencies.py
	python3 tests/support/checks/public_api.py
	python3 tests/support/checks/consistency.py
	python3 tests/support/checks/variables.py
	python3 tests/support/checks/times.py
	python3 docs/capacity.py --check
	cargo test --locked --lib the_page_of_records_is_what_the_catalogue_says
	if cargo deny --version >/dev/null 2>&1; then cargo deny --locked --all-features check bans licenses sources; fi

records: ## write docs/records.md from the catalogue of record families
	OPENJIBO_WRITE_RECORDS=1 cargo test --locked --lib the_page_of_records_is_what_the_catalogue_says

check-infra: ## parse, evaluate and check the Bicep files, checkov included; installs its pinned packages under target/ once
	python3 infra/check/run.py

capacity: ## compute the tables of docs/capacity.md and draw its plot
	python3 docs/capacity.py

emulators: ## run Azurite and the Cosmos emulator until Ctrl-C; the line on standard output has the variables to export
	cargo build $(ALL) --bin openjibo-emulators --example cloud_host
	$(BIN)/openjibo-emulators

clean: ## remove everything that was built and installed
	cargo clean
	rm -rf tests/support/azurite/node_modules
