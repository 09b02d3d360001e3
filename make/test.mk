# Tests and static checks.

.PHONY: unit
unit: $(UNIT_TESTS) ## cmocka unit tests
	@set -e; for t in $(UNIT_TESTS); do echo "== $$t"; $$t; done
