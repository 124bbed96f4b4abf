# `make demo` and `make test` are all that a new machine needs. Each target brings what it lacks.

CARGO ?= cargo
DEMO = target/demo
TOLLGATE = target/debug/tollgate

# Contacts and events of the month that `make demo` makes and replays.
MONTH_CONTACTS = 5000
MONTH_EVENTS = 200000

.PHONY: help demo build test lint disorder charges deadlines disk-full chaos kafka kafka-stop bench bench-stream sim fuzz clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

demo: ## Replay a generated month and the example day: verdicts and the bill, no broker
	@deploy/needs.sh rust cc
	$(CARGO) build --no-default-features --quiet
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	@echo && echo "== A month of made-up traffic: $(MONTH_EVENTS) events, $(MONTH_CONTACTS) contacts =="
	$(TOLLGATE) loadgen --events $(MONTH_EVENTS) --contacts $(MONTH_CONTACTS) --start 2026-10-01 --days 31 \
	  --out $(DEMO)/month.ndjson
	$(TOLLGATE) replay $(DEMO)/month.ndjson \
	  --accounts $(DEMO)/month.accounts.ndjson --templates $(DEMO)/month.templates.ndjson \
	  --config examples/demo.toml --out $(DEMO)/month
	@echo && echo "== A day of a bookshop, as the platform's webhooks tell it =="
	$(TOLLGATE) replay examples/day/webhooks.ndjson examples/day/sends.ndjson \
	  --accounts examples/day/accounts.ndjson --templates examples/day/templates.ndjson \
	  --config examples/demo.toml --out $(DEMO)/day
	@echo && echo "The outputs are in $(DEMO)/month and $(DEMO)/day."

build: ## The command, with RocksDB: target/release/tollgate
	@deploy/needs.sh rust cc libclang openssl
	$(CARGO) build --release

test: ## Everything that must hold, as CI runs it
	@deploy/needs.sh rust cc libclang openssl java maven python
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --features broker -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --quiet
	$(CARGO) test --features broker -- --skip chaos::
	@# By itself: for a minute and a half it wants the whole machine.
	$(CARGO) test --features broker --test kafka -- chaos::

lint: ## Format, lints with and without RocksDB, documentation, licences
	@deploy/needs.sh rust cc libclang openssl
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --quiet
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources

# So many short histories are tried in all orders, and five times as many long ones; `make test` tries 60.
DISORDER ?= 2000
disorder: ## Histories whose events arrive in all orders, and in random ones: the same lines, the same windows
	@deploy/needs.sh rust cc
	DISORDER=$(DISORDER) $(CARGO) test --no-default-features --test disorder

# So many messages are charged; `make test` charges 20,000.
CHARGES ?= 1000000
charges: ## A bill of fifty portfolios, three time zones and two months: equal to an independent one, to the last decimal
	@deploy/needs.sh rust cc
	CHARGES=$(CHARGES) $(CARGO) test --no-default-features --test charges -- --nocapture

# So many windows close at one record; the test's own number, which `make test` takes, is 40,000.
DEADLINES ?= 1000000
deadlines: ## A million windows that close at one record, while the worker is killed again and again
	@deploy/needs.sh rust cc libclang openssl java maven
	DEADLINES=$(DEADLINES) $(CARGO) test --features broker --test kafka -- --nocapture deadlines::

disk-full: ## A worker whose disk is full, and has room again. Mounts a file system, so it wants the rights of root
	@deploy/needs.sh rust cc libclang openssl java maven
	$(CARGO) test --features broker --test kafka -- --ignored disk_keeps_nobody_waiting

# Events, and the seconds in which they come and everything happens; how often a process is killed, how often stopped and
# for how long, and how often the broker is killed. With CHAOS_INPUTS=2 events come by two topics, and what depends on
# their order is not compared: there are neither volume tiers nor limits nor budgets then.
CHAOS_EVENTS ?= 5000000
CHAOS_SECONDS ?= 900
CHAOS_KILLS ?= 20
CHAOS_STOPS ?= 3
CHAOS_STOP_SECONDS ?= 30
CHAOS_BROKER_KILLS ?= 5
CHAOS_INPUTS ?= 1
chaos: ## Kill and stop workers and the broker under load; outputs must be those of the fold alone
	@deploy/needs.sh rust cc libclang openssl
	CHAOS_EVENTS=$(CHAOS_EVENTS) CHAOS_SECONDS=$(CHAOS_SECONDS) CHAOS_KILLS=$(CHAOS_KILLS) CHAOS_STOPS=$(CHAOS_STOPS) \
	  CHAOS_STOP_SECONDS=$(CHAOS_STOP_SECONDS) CHAOS_BROKER_KILLS=$(CHAOS_BROKER_KILLS) CHAOS_INPUTS=$(CHAOS_INPUTS) \
	  $(CARGO) test --features broker --test kafka -- --nocapture chaos::

kafka: ## A Kafka broker on this machine, on the loopback interface; tells its address
	@deploy/kafka/broker.sh start target/kafka-broker

kafka-stop: ## End that broker
	@deploy/kafka/broker.sh stop target/kafka-broker

bench: ## The fold, the whole replay, the worker, the stream processor on Kafka; run it on an idle machine
	@deploy/needs.sh rust cc libclang openssl java maven
	$(CARGO) bench --bench fold
	$(CARGO) bench --bench replay
	$(CARGO) bench --bench worker
	$(CARGO) bench --bench stream

# benches/stream/README.md lists what may be set: PART=ladder, RUNS=5, EVENTS=20000000, …
bench-stream: ## Only the stream processor on Kafka, beside a pass-through and Kafka Streams
	@deploy/needs.sh rust cc libclang openssl java maven
	$(CARGO) bench --bench stream

# libFuzzer comes inside a crate and needs no nightly. What it learns stays in target/fuzz; an input that fails is kept
# beside the corpus, where plain `cargo test` runs it for ever after. The linker is told to ignore what only the test
# binary defines, because the instrumented command is built beside it.
SECONDS ?= 60
FUZZ_TARGETS = frames inputs stream state rate_card scenario config
FUZZ_FLAGS = --cfg fuzzing --cfg fuzzing_libfuzzer -Cpasses=sancov-module \
  -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
  -Cllvm-args=-sanitizer-coverage-stack-depth -Clink-arg=-Wl,--unresolved-symbols=ignore-all

fuzz: ## Bytes nobody meant, guided by coverage: SECONDS for each of FUZZ_TARGETS
	@deploy/needs.sh rust cc
	@set -e; host=$$(rustc -vV | sed -n 's/^host: //p'); for target in $(FUZZ_TARGETS); do \
	  kept=tests/fuzz/__fuzz__/$$target; mkdir -p target/fuzz/corpus/$$target $$kept/crashes; \
	  echo "== $$target"; \
	  RUSTFLAGS="$(FUZZ_FLAGS)" \
	  BOLERO_LIBFUZZER_ARGS="target/fuzz/corpus/$$target $$kept/corpus $$kept/crashes -artifact_prefix=$$kept/crashes/ -timeout=10 -max_len=16384 -max_total_time=$(SECONDS) -print_final_stats=1" \
	  $(CARGO) test --no-default-features --target $$host --profile fuzz --target-dir target/fuzz \
	    --test fuzz -- --exact $$target --nocapture --test-threads 1; \
	  rmdir --ignore-fail-on-non-empty $$kept/crashes; done

# A seed decides a whole run; one that fails prints how to play it again. Needs neither RocksDB nor librdkafka.
SEEDS = 20000

sim: ## The worker in a simulated Kafka on its worst days: SEEDS runs, what they met, and a tenth as many of other courses
	@deploy/needs.sh rust cc
	SIM_SEEDS=$(SEEDS) $(CARGO) test --no-default-features --test sim -- --exact --nocapture \
	  working::the_worker_does_everything_exactly_once_whatever_goes_wrong \
	  working::two_inputs_are_folded_exactly_once_whatever_goes_wrong \
	  working::what_a_broker_forgets_to_end_is_never_committed \
	  working::a_deadline_fires_once_whoever_takes_over_between_two

clean: ## Remove what was built
	$(CARGO) clean
