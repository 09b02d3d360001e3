# outbox.emit() as a library for the PostgreSQL server: optional, see docs/outbox.md. It is built for
# the server of PG_CONFIG and loads into its major version alone.
##@ outbox.emit() in C, optional

PG_CONFIG ?= pg_config
NATIVE := $(BUILD)/native/outbox_emit.so

# Asked only when it is built. The server's own flags: some of its headers depend on them.
PG_FLAGS = $(foreach what,--cppflags --cflags --cflags_sl,$(shell $(PG_CONFIG) $(what)))
PG_HEADERS = $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)

.PHONY: native install-native uninstall-native
native: $(NATIVE) ## build it for the server of PG_CONFIG=pg_config
	@:

$(NATIVE): native/outbox_emit.c | has-native
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(CC) $(PG_FLAGS) -std=gnu11 -isystem $(PG_HEADERS) -Wall -Wextra -Werror -shared $< -o $@

install-native: native ## install it where that server looks for libraries; DESTDIR=
	install -d "$(DESTDIR)$$($(PG_CONFIG) --pkglibdir)"
	install -m 644 $(NATIVE) "$(DESTDIR)$$($(PG_CONFIG) --pkglibdir)/"

uninstall-native: ## remove it; first run `outbox-relay init --no-native` in every database
	rm -f "$(DESTDIR)$$($(PG_CONFIG) --pkglibdir)/outbox_emit.so"

# Tested and looked at by clang-tidy where it can be built.
ifneq ($(wildcard $(PG_HEADERS)/postgres.h),)
integration-tests: $(NATIVE)
lint-tidy: $(NATIVE_FILES:%=$(LINT)/%.ok)
$(LINT)/native/%.ok: TIDY_FLAGS = -std=gnu11 $(shell $(PG_CONFIG) --cppflags) -isystem $(PG_HEADERS) \
	-Wall -Wextra -Werror
endif
