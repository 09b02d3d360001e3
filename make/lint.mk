# Static checks. What has been checked and not changed since is not checked again: $(BUILD)/lint/ remembers.
##@ Static checks

# Version 14 where there is one: others format a little differently.
CLANG_FORMAT ?= $(or $(shell command -v clang-format-14),clang-format)
CLANG_TIDY ?= $(or $(shell command -v clang-tidy-14),clang-tidy)
CPPCHECK ?= cppcheck
SHELLCHECK ?= shellcheck

LINT := $(BUILD)/lint
C_DIRS := $(wildcard shared services outbox-relay tests bench)
C_FILES := $(shell find $(C_DIRS) -name node_modules -prune -o -name '*.c' -print)
H_FILES := $(shell find $(C_DIRS) -name node_modules -prune -o -name '*.h' -print)
# Compiled against the headers of a server, which cppcheck lacks: make/native.mk.
NATIVE_FILES := $(wildcard native/*.c)
SHELL_FILES = $(shell git -c safe.directory='*' ls-files --cached --others --exclude-standard | \
	xargs -r grep -lE '^(\#!.*(/| )(ba)?sh( |$$)|\# shellcheck shell=)' 2>/dev/null)

# The analyzer stops a function after so many states: five times as fast as with the default, for
# the deepest paths of the longest functions.
TIDY_ARGS := --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang \
	--extra-arg=max-nodes=60000
TIDY_FLAGS = -std=gnu11 $(CPPFLAGS) $(PKG_CFLAGS) $(WARN)

.PHONY: lint lint-all lint-format lint-tidy lint-cppcheck lint-shell lint-sources lint-layers \
	lint-headers lint-libraries lint-docs lint-sql
lint: has-lint ## run all of them
	+@$(GO_ON) lint-all
	@echo "lint: no findings"

lint-all: lint-format lint-tidy lint-cppcheck lint-shell lint-sources lint-layers lint-headers \
	lint-libraries lint-docs lint-sql

lint-format: $(LINT)/format.ok
$(LINT)/format.ok: $(C_FILES) $(NATIVE_FILES) $(H_FILES) .clang-format
	@mkdir -p $(@D)
	$(call quiet,FORMAT,C)$(CLANG_FORMAT) --dry-run -Werror $(C_FILES) $(NATIVE_FILES) $(H_FILES) && touch $@

# clang's own warnings are among the findings; gcc's stop the build.
lint-tidy: $(C_FILES:%=$(LINT)/%.ok)
$(LINT)/%.c.ok: %.c $(H_FILES) .clang-tidy
	@mkdir -p $(@D)
	$(call quiet,TIDY,$<)$(CLANG_TIDY) --quiet $(TIDY_ARGS) $< -- $(TIDY_FLAGS) 2>$@.err || \
		{ cat $@.err; rm -f $@.err; exit 1; }; rm -f $@.err; touch $@

lint-cppcheck: $(LINT)/cppcheck.ok
$(LINT)/cppcheck.ok: $(C_FILES) $(H_FILES) make/cppcheck.txt
	@mkdir -p $(LINT)/cppcheck
	$(call quiet,CPPCHECK,C)$(CPPCHECK) --quiet --enable=warning,performance,portability --std=c11 \
		--inline-suppr --suppressions-list=make/cppcheck.txt --error-exitcode=1 --template=gcc \
		--cppcheck-build-dir=$(LINT)/cppcheck -I. -D_GNU_SOURCE -DVERSION='"0"' $(C_FILES) && touch $@

lint-shell:
	$(call quiet,SHELLCHECK,scripts)$(SHELLCHECK) -x $(SHELL_FILES)

lint-sources:
	$(call quiet,CHECK,sources)scripts/check-sources

# Who calls whom is read from the objects.
LAYER_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter shared/% services/% outbox-relay/%,$(C_FILES)))
lint-layers: $(LAYER_OBJ)
	$(call quiet,CHECK,layers)scripts/check-layers --objects $(BUILD)/obj

# Each header compiles by itself, so that no file depends on the order of its includes.
lint-headers: $(LINT)/headers.ok
$(LINT)/headers.ok: $(H_FILES)
	@mkdir -p $(@D)
	$(call quiet,CHECK,headers)$(CC) $(TIDY_FLAGS) -fsyntax-only -x c $(H_FILES) && touch $@

lint-docs: $(CONFIG_PROGRAMS:%=$(BUILD)/bin/%)
	$(call quiet,CHECK,links and paths in Markdown)scripts/check-links
	$(call quiet,CHECK,docs/ARCHITECTURE.md)scripts/check-architecture
	$(call quiet,CHECK,docs/errors.md)scripts/check-errors
	$(call quiet,CHECK,docs/configuration.md)scripts/config-docs $(BUILD)/bin $(CONFIG_PROGRAMS) | \
		diff -u docs/configuration.md - || \
		{ echo "docs/configuration.md is not current: run 'make docs-config'" >&2; exit 1; }

lint-libraries: $(PROGRAMS)
	$(call quiet,CHECK,what programs link)scripts/check-libraries $(BUILD)/bin

lint-sql: $(LINT)/sql.ok
$(LINT)/sql.ok: $(SERVICES:%=$(BUILD)/bin/%) scripts/check-sql-comments
	@mkdir -p $(@D)
	$(call quiet,CHECK,comments in SQL)tests/pg-temp.sh scripts/check-sql-comments $(BUILD)/bin $(SERVICES) \
		&& touch $@
