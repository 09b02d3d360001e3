# Monitoring: what is checked without starting anything is part of make lint; the whole of it, with
# Prometheus, Alertmanager and the exporters at a stack of its own, is make monitoring-test.

.PHONY: monitoring-lint monitoring-test
lint: monitoring-lint

PYTHON ?= /usr/bin/python3

monitoring-lint: ## check monitoring/: configurations, rules and their tests, dashboards, runbooks
	$(call quiet,CHECK,monitoring)$(PYTHON) tests/monitoring/lint.py

monitoring-test: ## dashboards and alerts on a stack of its own, with load and an outage
	@scripts/deps --check run test monitoring
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) $(PYTHON) -m pytest -q -p no:cacheprovider tests/monitoring
