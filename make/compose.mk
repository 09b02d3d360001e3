# The shop in containers.

COMPOSE_V2_VERSION := v2.32.4
COMPOSE_V2 := $(abspath $(BUILD))/tools/docker-compose-$(COMPOSE_V2_VERSION)

.PHONY: compose-test compose-v2-test
compose-test: ## the stack of docker-compose.yml, built, run and checked, the collection too
	@BUILD=$(BUILD) tests/compose/run.sh

# Debian has no docker compose v2; it is a Go module.
$(COMPOSE_V2):
	@command -v go >/dev/null || \
		{ echo "make compose-v2-test: go is missing, it builds docker compose (https://go.dev/dl)" >&2; exit 1; }
	GOBIN=$(@D)/compose.new go install github.com/docker/compose/v2/cmd@$(COMPOSE_V2_VERSION)
	mv $(@D)/compose.new/cmd $@

compose-v2-test: $(COMPOSE_V2) ## the same with docker compose v2, which is built with go
	@BUILD=$(BUILD) COMPOSE=$(COMPOSE_V2) tests/compose/run.sh
