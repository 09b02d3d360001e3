# The tests once more, on builds that see what a test alone does not: build-asan/ with
# AddressSanitizer, LeakSanitizer and UBSan, build-tsan/ with ThreadSanitizer. What they have to say
# is kept in build-*/reports/.
##@ More tests

ASAN_MAKE = +@tests/sanitized.sh build-asan $(MAKE) --no-print-directory BUILD=build-asan \
	SANITIZE=address,undefined
TSAN_MAKE = +@tests/sanitized.sh build-tsan $(MAKE) --no-print-directory BUILD=build-tsan SANITIZE=thread

.PHONY: asan tsan asan-integration tsan-integration
asan: has-unit ## unit tests under AddressSanitizer and UBSan
	$(ASAN_MAKE) unit

tsan: has-unit ## unit tests under ThreadSanitizer
	$(TSAN_MAKE) unit

asan-integration: has-integration ## integration tests under AddressSanitizer and UBSan; TESTS=FILE
	$(ASAN_MAKE) integration

tsan-integration: has-integration ## integration tests under ThreadSanitizer; TESTS=FILE
	$(TSAN_MAKE) integration
