# Tests: `make test` is all that tells whether the shop works. Each suite alone: make unit,
# make integration, make e2e.

.PHONY: test unit integration e2e unit-tests

unit-tests: $(UNIT_TESTS)

test: ensure-deps ## all tests: unit, integration, and the Postman collection on a stack of its own
	@$(MAKE) --no-print-directory all unit-tests
	@BUILD=$(BUILD) scripts/run-tests

unit: unit-tests ## cmocka unit tests
	@BUILD=$(BUILD) scripts/run-tests unit

integration: all ## pytest against real PostgreSQL, sockets and nginx
	@BUILD=$(BUILD) scripts/run-tests integration

e2e: ensure-deps all ## the Postman collection against the whole shop
	@BUILD=$(BUILD) scripts/run-tests e2e

$(BUILD)/tests/test_http_server: $(BUILD)/obj/tests/support/raw_http.o
$(BUILD)/tests/test_http_access: $(BUILD)/obj/tests/support/raw_http.o \
	$(BUILD)/obj/tests/support/tokens.o
