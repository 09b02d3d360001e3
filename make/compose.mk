# The shop in containers.
##@ Containers and Kubernetes

COMPOSE_V2_VERSION := v2.32.4
COMPOSE_V2 := $(abspath $(BUILD))/tools/docker-compose-$(COMPOSE_V2_VERSION)

.PHONY: compose-test compose-v2-test
compose-test: has-compose ## build, run and check docker-compose.yml; SHORT=yes for a part
	@BUILD=$(BUILD) SHORT=$(SHORT) tests/compose/run.sh

# Debian has no docker compose v2; it is a Go module.
$(COMPOSE_V2):
	$(call need_go,builds docker compose)
	GOBIN=$(@D)/compose.new go install github.com/docker/compose/v2/cmd@$(COMPOSE_V2_VERSION)
	mv $(@D)/compose.new/cmd $@

# With BuildKit, as its users have it. docker-compose 1.29 builds without.
compose-v2-test: has-compose $(COMPOSE_V2) ## the same with docker compose v2 (needs go to build it)
	@DOCKER_BUILDKIT=1 BUILD=$(BUILD) SHORT=$(SHORT) COMPOSE=$(COMPOSE_V2) tests/compose/run.sh
