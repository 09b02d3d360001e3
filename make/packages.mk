# Packages. Each target installs what it needs by itself: has-GROUP installs what is missing of a group of
# scripts/deps. A target that needs more than a compiler has it as its prerequisite, and then goes on in a make
# of its own (GO_ON), which sees what was installed.
##@ Build and install

# install; check: only name the missing packages, and fail; ignore: don't look.
PACKAGES ?= install
ifeq ($(filter install check ignore,$(PACKAGES)),)
$(error PACKAGES=$(PACKAGES) must be install, check or ignore)
endif
PACKAGES_COMMAND.install = scripts/deps --quiet
PACKAGES_COMMAND.check = scripts/deps --check
PACKAGES_COMMAND.ignore = :
GO_ON = $(MAKE) --no-print-directory PACKAGES=ignore

PACKAGE_GROUPS := relay build run unit integration postman test lint fuzz model deb native bench stress monitoring \
	compose k8s charts bare arm64
.PHONY: deps $(PACKAGE_GROUPS:%=has-%)
deps: ## install what is needed to run, test and check everything
	@scripts/deps

$(PACKAGE_GROUPS:%=has-%): has-%:
	@$(PACKAGES_COMMAND.$(PACKAGES)) $*

# So that any single program or test can be built first, too. The relay needs the least.
ALL_OBJ := $(SQL_OBJ) $(C_FILES:%.c=$(BUILD)/obj/%.o)
SERVICE_OBJ := $(filter $(BUILD)/obj/services/% $(BUILD)/obj/tests/fuzz/%,$(ALL_OBJ))
TEST_OBJ := $(filter $(BUILD)/obj/tests/unit/% $(BUILD)/obj/tests/support/% $(BUILD)/obj/tests/integration/%,$(ALL_OBJ))
$(filter-out $(SERVICE_OBJ) $(TEST_OBJ),$(ALL_OBJ)): | has-relay
$(SERVICE_OBJ): | has-build
$(TEST_OBJ): | has-unit
