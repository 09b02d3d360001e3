# Benchmarks; see docs/benchmarks.md. Not part of `make test`: times depend on the machine.

BENCH_PROGRAMS := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))
BENCH_PEERS := bench/peers/node_modules/.package-lock.json
BENCH_RUN = BUILD=$(BUILD) bench/run
ROW ?=

$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(RELAY_LIBS)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(LINK) $^ $(PKG_LIBS) -o $@

$(BENCH_PEERS): bench/peers/package.json bench/peers/package-lock.json
	npm ci --prefix bench/peers --no-audit --no-fund --ignore-scripts --loglevel=error </dev/null
	touch $@

.PHONY: bench bench-smoke bench-document bench-programs bench-peers
bench-programs: $(BUILD)/bin/outbox-relay $(BENCH_PROGRAMS) native
bench-peers: $(BENCH_PEERS)

bench: bench-programs bench-peers ## measure the relay beside its peers; ROW=single: only that row
	$(BENCH_RUN) $(ROW) $(if $(LONG),--long) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-smoke: bench-programs ## only that the benchmark runs and everything is delivered
	$(BENCH_RUN) --smoke --no-peers

bench-document: ## put the newest results into docs/benchmarks.md
	$(BENCH_RUN) --document
