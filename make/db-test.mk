# Tests in C of what needs a database: the pool and its transactions, migrations, idempotency keys,
# the inbox. Each program makes databases of its own in a cluster that lives as long as the run.
##@ More tests

INTEGRATION_C := $(patsubst tests/integration/c/%.c,$(BUILD)/tests/integration/%,\
	$(wildcard tests/integration/c/test_*.c))
SUPPORT_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/failing.c %/http_fixture.c,$(wildcard tests/support/*.c)))

$(BUILD)/tests/integration/%: $(BUILD)/obj/tests/integration/c/%.o $(SUPPORT_OBJ) $(TEST_LIBS)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(LINK) $(filter %.o,$^) $(filter %.a,$^) $(PKG_LIBS) -lcmocka -o $@

.PHONY: integration-c
integration-c: has-integration ## the integration tests in C alone
	+@$(GO_ON) $(INTEGRATION_C)
	tests/pg-temp.sh sh -eu -c 'for t; do echo "== $$t"; "$$t"; done' sh $(INTEGRATION_C)

.PHONY: check-errors
check-errors:
	@scripts/check-errors
