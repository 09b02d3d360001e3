# Coverage-guided fuzzing by libFuzzer, with AddressSanitizer and UBSan; see tests/fuzz/fuzz.h.
##@ More tests

FUZZ_CC ?= $(or $(shell command -v clang-14),clang)
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
TIME ?= 60
TARGET ?= $(FUZZ_TARGETS)

.PHONY: fuzz $(FUZZ_TARGETS:%=fuzz-%)
fuzz: has-fuzz ## fuzz the parsers; TIME=60 seconds each, TARGET=http1 for one only
	+@$(GO_ON) BUILD=build-fuzz CC=$(FUZZ_CC) OPT='-O1 -g' \
		SANITIZE=address,undefined CFLAGS='-fsanitize=fuzzer-no-link -fno-sanitize-recover=all' \
		$(TARGET:%=fuzz-%)

$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: $(BUILD)/fuzz/%
	@tests/fuzz/run $< $(TIME)

$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(TEST_LIBS)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(LINK) -fsanitize=fuzzer $^ $(PKG_LIBS) -o $@
