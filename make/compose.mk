# The shop in containers.

COMPOSE_V2_VERSION := v2.32.4
COMPOSE_V2 := $(abspath $(BUILD))/tools/docker-compose-$(COMPOSE_V2_VERSION)

.PHONY: compose-test compose-v2-test
compose-test: ## the stack of docker-compose.yml, built, run and checked, the collection too; SHORT=yes: a part
	@BUILD=$(BUILD) SHORT=$(SHORT) tests/compose/run.sh

# Debian has no docker compose v2; it is a Go module.
$(COMPOSE_V2):
	$(call need_go,builds docker compose)
	GOBIN=$(@D)/compose.new go install github.com/docker/compose/v2/cmd@$(COMPOSE_V2_VERSION)
	mv $(@D)/compose.new/cmd $@

# With BuildKit, as its users have it. docker-compose 1.29 builds without.
compose-v2-test: $(COMPOSE_V2) ## the same with docker compose v2, which is built with go
	@DOCKER_BUILDKIT=1 BUILD=$(BUILD) SHORT=$(SHORT) COMPOSE=$(COMPOSE_V2) tests/compose/run.sh
