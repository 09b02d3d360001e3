# Benchmarks; see docs/benchmarks.md. Not part of `make test`: times depend on the machine.
##@ Benchmarks

BENCH_PROGRAMS := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))
BENCH_PEERS := bench/peers/node_modules/.package-lock.json
BENCH_RUN = BUILD=$(BUILD) bench/run
ROW ?=

$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(RELAY_LIBS)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(LINK) $^ $(PKG_LIBS) -o $@

$(BENCH_PEERS): bench/peers/package.json bench/peers/package-lock.json | has-bench
	npm ci --prefix bench/peers --no-audit --no-fund --ignore-scripts --loglevel=error </dev/null
	touch $@

.PHONY: bench bench-smoke bench-document bench-programs bench-peers
bench-programs: $(BUILD)/bin/outbox-relay $(BENCH_PROGRAMS) native
bench-peers: $(BENCH_PEERS)

bench: has-bench ## measure the relay beside its peers; ROW=single for one row only
	+@$(GO_ON) bench-programs bench-peers
	$(BENCH_RUN) $(ROW) $(if $(LONG),--long) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-smoke: has-bench ## check that the benchmark runs and everything is delivered
	+@$(GO_ON) bench-programs
	$(BENCH_RUN) --smoke --no-peers

bench-document: ## write the latest results into docs/benchmarks.md
	$(BENCH_RUN) --document
