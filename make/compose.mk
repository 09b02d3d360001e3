# The shop in containers.

COMPOSE_V2_VERSION := v2.32.4

.PHONY: compose-test compose-v2-test
compose-test: ## the stack of docker-compose.yml, built, run and checked, the collection too
	@BUILD=$(BUILD) tests/compose/run.sh

# Debian has no docker compose v2; it is a Go module.
$(abspath $(BUILD))/tools/docker-compose-$(COMPOSE_V2_VERSION):
	@command -v go >/dev/null || { echo "make compose-v2-test: go is not installed (it builds docker compose)" >&2; exit 1; }
	GOBIN=$(@D)/compose go install github.com/docker/compose/v2/cmd@$(COMPOSE_V2_VERSION)
	mv $(@D)/compose/cmd $@

compose-v2-test: $(abspath $(BUILD)/tools/docker-compose) ## the same with docker compose v2
	@BUILD=$(BUILD) COMPOSE=$< tests/compose/run.sh
