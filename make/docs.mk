# Documents that are made from the programs.
##@ Documents

CONFIG_PROGRAMS := $(SERVICES) outbox-relay

.PHONY: docs-config
docs-config: $(CONFIG_PROGRAMS:%=$(BUILD)/bin/%) ## rewrite docs/configuration.md
	@scripts/config-docs $(BUILD)/bin $(CONFIG_PROGRAMS) > docs/configuration.md
