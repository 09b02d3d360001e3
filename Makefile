# The shop, its outbox relay and their tests. `make help` lists the targets.
##@ Build and install

SHELL := /bin/sh
BUILD ?= build
CC ?= cc
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
VERSION := $(shell cat VERSION)

# All cores unless -j was given; a make within make has its jobs from the outer one.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(JOBS)
endif

# What the relay and the library need; and what a service alone uses.
PKGS := libmicrohttpd jansson libpq libcurl libcrypto
AUTH_PKGS := libargon2
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
HARDEN := -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 -fPIE
OPT ?= -O2 -g
SANITIZE ?=
CPPFLAGS += -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"'
# pkg-config is asked only when something is compiled: by then make/packages.mk has installed it.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKGS)) -lm)$(PKG_LIBS)
COMPILE = $(CC) -std=gnu11 $(CPPFLAGS) $(PKG_CFLAGS) $(OWN_CFLAGS) $(WARN) $(OPT) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer,$(HARDEN)) $(CFLAGS) -pthread -MMD -MP
LINK = $(CC) $(OPT) $(if $(SANITIZE),-fsanitize=$(SANITIZE),-pie -Wl,-z,relro,-z,now) -Wl,--as-needed $(LDFLAGS) -pthread

SERVICES := auth user-profile billing order notification product price
PROGRAMS := $(SERVICES:%=$(BUILD)/bin/%) $(BUILD)/bin/outbox-relay

SQL_SETS := $(notdir $(patsubst %/,%,$(wildcard sql/*/)))
SQL_OBJ := $(SQL_SETS:%=$(BUILD)/obj/sql/%.o)
RELAY_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard outbox-relay/*/*.c))
RELAY_LIB_OBJ := $(filter-out $(BUILD)/obj/outbox-relay/cli/main.o,$(RELAY_OBJ))
# A library for each layer of shared/. A program is given them from the top down, so that none can use
# what is above it, and takes of them what it uses.
SHARED_LIBS := $(addprefix $(BUILD)/lib,http.a db.a sql.a base.a)
SERVICE_LIBS := $(BUILD)/libservice.a $(SHARED_LIBS)
RELAY_LIBS := $(BUILD)/librelay.a $(SHARED_LIBS)
TEST_LIBS := $(BUILD)/librelay.a $(SERVICE_LIBS)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))

# Says what it does in a line each; V=1 shows the commands.
V ?= 0
quiet = $(if $(filter 0,$(V)),@printf '  %-4s %s\n' '$(1)' '$(2)';,)

.DEFAULT_GOAL := all
.PHONY: all help clean
.SECONDARY:

all: $(PROGRAMS) ## build all programs in build/bin/
	@:

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(COMPILE) -c $< -o $@

$(BUILD)/gen/sql/%.c: scripts/embed-sql.sh sql/% $(wildcard sql/*/*.sql)
	@mkdir -p $(@D)
	$(call quiet,SQL,sql/$*)scripts/embed-sql.sh sql/$* > $@.tmp && mv $@.tmp $@

$(BUILD)/obj/sql/%.o: $(BUILD)/gen/sql/%.c
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(COMPILE) -c $< -o $@

ARCHIVE = $(call quiet,AR,$@)rm -f $@ && $(AR) rcs $@ $^

define layer_rule
$(BUILD)/lib$(1).a: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard shared/$(1)/*.c))
	$$(ARCHIVE)
endef
$(foreach layer,base db http service,$(eval $(call layer_rule,$(layer))))

$(BUILD)/libsql.a: $(SQL_OBJ)
	$(ARCHIVE)

$(BUILD)/librelay.a: $(RELAY_LIB_OBJ)
	$(ARCHIVE)

# What several services need; each links what it uses.
$(BUILD)/libcommon.a: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard services/common/*.c))
	$(ARCHIVE)

define service_rule
$(BUILD)/bin/$(1): $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard services/$(1)/*.c)) $(BUILD)/libcommon.a $(SERVICE_LIBS)
	@mkdir -p $$(@D)
	$$(call quiet,LINK,$$@)$$(LINK) $$^ $$(PKG_LIBS) $$(OWN_LIBS) -o $$@
endef
$(foreach service,$(SERVICES),$(eval $(call service_rule,$(service))))

$(BUILD)/obj/services/auth/%.o: OWN_CFLAGS = $(shell pkg-config --cflags $(AUTH_PKGS))
$(BUILD)/bin/auth $(BUILD)/tests/test_auth_password: private OWN_LIBS = $(shell pkg-config --libs $(AUTH_PKGS))

$(BUILD)/bin/outbox-relay: $(BUILD)/obj/outbox-relay/cli/main.o $(RELAY_LIBS)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(LINK) $^ $(PKG_LIBS) -o $@

# A test may name further objects as prerequisites; the archives come last, whoever needs them.
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(TEST_LIBS)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(LINK) $(filter %.o,$^) $(filter %.a,$^) $(PKG_LIBS) $(OWN_LIBS) -lcmocka -o $@

clean: ## remove build/, but not the running shop and its data in .run/
	rm -rf $(BUILD)

# A file's targets are listed under its "##@" heading, in this order.
HELP_HEADINGS := The shop on this machine|Build and install|Tests|Static checks|More tests|Containers and Kubernetes|
HELP_HEADINGS := $(HELP_HEADINGS)Benchmarks|outbox.emit() in C, optional|Documents
help:
	@awk -F ':.*## ' -v headings='$(HELP_HEADINGS)' ' \
		/^##@ / { heading = substr($$0, 5) } \
		/^[a-z][a-zA-Z0-9_-]*:.*## / { text[heading] = text[heading] sprintf("  make %-20s %s\n", $$1, $$2) } \
		END { n = split(headings, order, "|"); for (i = 1; i <= n; i++) printf "%s%s\n%s", (i > 1 ? "\n" : ""), order[i], text[order[i]] }' $(MAKEFILE_LIST)
	@printf '\n%s\n%s\n' 'Each target first installs the packages it needs, with sudo if you are not root. PACKAGES=check only names' \
		'the missing ones; PACKAGES=ignore does not look. V=1 shows the commands.'

# Each area has its own targets: make/stack.mk (up, demo …), make/test.mk, …
include $(sort $(wildcard make/*.mk))

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
