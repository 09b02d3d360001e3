# Documents that are made from the programs.

CONFIG_PROGRAMS := $(SERVICES) outbox-relay

.PHONY: docs-config
docs-config: $(CONFIG_PROGRAMS:%=$(BUILD)/bin/%) ## write docs/configuration.md anew
	@scripts/config-docs $(BUILD)/bin $(CONFIG_PROGRAMS) > docs/configuration.md
