# The shop on this machine. Settings are given as variables: make up GATEWAY_PORT=9090 RUN_DIR=/tmp/shop;
# `scripts/stack --help` lists them.
##@ The shop on this machine

.PHONY: demo up down status logs psql wipe

demo: has-run ## build and start the shop, and show how an order passes through it
	+@$(GO_ON) all
	@scripts/stack up
	@scripts/demo

up: has-run ## build and start the shop, and wait until it is ready
	+@$(GO_ON) all
	@scripts/stack up

down: ## stop it; its data stays in .run/
	@scripts/stack down

status: ## show what is running where
	@scripts/stack status || true

logs: ## show the latest log lines; S=order for one part only, F=1 to follow
	@scripts/stack logs $(S) $(if $(F),-f)

psql: ## open psql in a service's database, such as DB=order
	@scripts/stack psql $(DB)

wipe: ## stop it and delete its data
	@scripts/stack wipe
