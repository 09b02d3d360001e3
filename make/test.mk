# Tests: `make test` runs all that show whether the shop works. Each suite alone: make unit, make integration,
# make postman. TESTS: the files and folders of tests/integration to run; SHORT=yes: the collection once, no demo.
##@ Tests
TESTS ?=
SHORT ?=

.PHONY: test unit integration postman unit-tests integration-tests
RUN_TESTS = BUILD=$(BUILD) TESTS="$(TESTS)" SHORT="$(SHORT)" UNIT_TESTS="$(UNIT_TESTS)" INTEGRATION_C="$(INTEGRATION_C)" scripts/run-tests

# INTEGRATION_C is set by a file read later.
.SECONDEXPANSION:
unit-tests: $(UNIT_TESTS)
integration-tests: $$(INTEGRATION_C)

test: has-test ## run all tests: unit, integration and postman
	+@$(GO_ON) all unit-tests integration-tests
	@$(RUN_TESTS)

unit: has-unit ## unit tests in C
	+@$(GO_ON) unit-tests
	@$(RUN_TESTS) unit

integration: has-integration ## with a real PostgreSQL, sockets and nginx; TESTS=FILE for that file only
	+@$(GO_ON) all $(if $(TESTS),,integration-tests)
	@$(RUN_TESTS) integration

postman: has-postman ## the Postman collection with the whole shop, on ports of its own
	+@$(GO_ON) all
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
