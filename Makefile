# `make demo` and `make test` are all that a new machine needs. Each target brings what it lacks.

CARGO ?= cargo
DEMO = target/demo
TOLLGATE = target/debug/tollgate

# Contacts and events of the month that `make demo` makes and replays.
MONTH_CONTACTS = 5000
MONTH_EVENTS = 200000

.PHONY: help demo test lint bench fuzz clean

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

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

test: ## Everything that must hold, as CI runs it
	@deploy/needs.sh rust cc libclang
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --quiet
	$(CARGO) test

lint: ## Format, lints with and without RocksDB, documentation, licences
	@deploy/needs.sh rust cc libclang
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --quiet
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources

bench: ## The fold alone, then the whole replay; run it on an idle machine
	@deploy/needs.sh rust cc libclang
	$(CARGO) bench --bench fold
	$(CARGO) bench --bench replay

clean: ## Remove what was built
	$(CARGO) clean
