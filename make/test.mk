# Tests: `make test` is all that tells whether the shop works. Each suite alone: make unit,
# make integration, make postman. TESTS: files and folders of tests/integration to run alone.
TESTS ?=

.PHONY: test unit integration postman unit-tests integration-tests
RUN_TESTS = BUILD=$(BUILD) TESTS="$(TESTS)" UNIT_TESTS="$(UNIT_TESTS)" INTEGRATION_C="$(INTEGRATION_C)" scripts/run-tests

# INTEGRATION_C is set by a file read later.
.SECONDEXPANSION:
unit-tests: $(UNIT_TESTS)
integration-tests: $$(INTEGRATION_C)

test: has-test ## all tests: unit, integration, and the Postman collection on a stack of its own
	@$(MAKE) --no-print-directory all unit-tests integration-tests
	@$(RUN_TESTS)

unit: unit-tests ## cmocka unit tests
	@$(RUN_TESTS) unit

integration: all $$(if $(TESTS),,integration-tests) ## against real PostgreSQL, sockets and nginx; TESTS=FILE: only that
	@$(RUN_TESTS) integration

postman: has-test all ## the Postman collection against the whole shop
	@$(RUN_TESTS) postman

$(BUILD)/tests/test_auth $(BUILD)/tests/test_auth_jwks: $(BUILD)/obj/tests/support/keys.o \
	$(BUILD)/obj/tests/support/tokens.o
$(BUILD)/tests/test_http_server $(BUILD)/tests/test_http_clients: \
	$(BUILD)/obj/tests/support/http_fixture.o $(BUILD)/obj/tests/support/raw_http.o
$(BUILD)/tests/test_http_access: $(BUILD)/obj/tests/support/raw_http.o \
	$(BUILD)/obj/tests/support/tokens.o

$(BUILD)/tests/test_allocation: $(BUILD)/obj/tests/support/failing.o
$(BUILD)/tests/test_allocation: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup \
	-Wl,--wrap=strndup,--wrap=asprintf,--wrap=vasprintf,--wrap=__asprintf_chk,--wrap=__vasprintf_chk
