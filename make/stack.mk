# The shop on this machine: packages, the running stack, the demo. Settings are given as variables:
# make up GATEWAY_PORT=9090 RUN_DIR=/tmp/shop; `scripts/stack --help` lists them.

.PHONY: deps up down status logs psql wipe demo

deps: ## install what is missing: Debian packages, newman
	@scripts/deps

# A prerequisite: the packages of a group are there, or one line says what to do.
.PHONY: has-run has-test has-lint has-native
has-run has-test has-lint has-native: has-%:
	@scripts/deps --check run $*

up: has-run ## build, start the whole shop and wait until it is ready
	@$(MAKE) --no-print-directory all
	@scripts/stack up

down: ## stop it; the data stays in .run/
	@scripts/stack down

status: ## what runs where
	@scripts/stack status || true

logs: ## the newest log lines; S=order: of one part, F=1: follow
	@scripts/stack logs $(S) $(if $(F),-f)

psql: ## psql in a service's database: DB=order
	@scripts/stack psql $(DB)

wipe: ## stop it and remove its data
	@scripts/stack wipe

demo: ## install what is missing, build, start, and show an order's way through the shop
	@scripts/deps run
	@$(MAKE) --no-print-directory all
	@scripts/stack up
	@scripts/demo
