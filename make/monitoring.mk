# Monitoring: what is checked without starting anything is part of make lint; the whole of it, with
# Prometheus, Alertmanager and the exporters at a stack of its own, is make monitoring-test.
##@ More tests

DASHBOARD_SCHEMA := $(BUILD)/tools/dashboard-schema

.PHONY: monitoring-lint monitoring-schema monitoring-test
lint-all: monitoring-lint

PYTHON ?= /usr/bin/python3

monitoring-lint: | has-lint ## check monitoring/: configuration, rules and their tests, dashboards, runbooks
	$(call quiet,CHECK,monitoring)$(PYTHON) tests/monitoring/lint.py

$(DASHBOARD_SCHEMA): $(wildcard tests/monitoring/schema/*)
	$(call need_go,builds the reader of dashboards)
	go -C tests/monitoring/schema build -o $(abspath $@) .

monitoring-schema: $(DASHBOARD_SCHEMA) ## check the dashboards against the types that Grafana publishes (needs go)
	$(DASHBOARD_SCHEMA) monitoring/grafana/dashboards/*.json

monitoring-test: has-monitoring ## alerts and dashboards, with load and outages; SHORT=yes for one outage
	+@$(GO_ON) all
	@BUILD=$(BUILD) $(PYTHON) -m pytest -q -p no:cacheprovider $(if $(SHORT),-m "not thorough") tests/monitoring
