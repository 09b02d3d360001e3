# Tests and static checks.

.PHONY: unit
unit: $(UNIT_TESTS) ## cmocka unit tests
	@set -e; for t in $(UNIT_TESTS); do echo "== $$t"; $$t; done

$(BUILD)/tests/test_http_server: $(BUILD)/obj/tests/support/raw_http.o
$(BUILD)/tests/test_http_access: $(BUILD)/obj/tests/support/raw_http.o \
	$(BUILD)/obj/tests/support/tokens.o
