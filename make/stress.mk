# The shop under load, with its database killed in the middle.

DURATION ?= 60
CLIENTS ?= 8
OUTAGE ?= 5

.PHONY: stress
stress: ## load through the gateway, PostgreSQL killed meanwhile: DURATION=60 CLIENTS=8 OUTAGE=5
	@scripts/deps --check run test
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) /usr/bin/python3 tests/chaos/stress.py --duration $(DURATION) --clients $(CLIENTS) \
		--outage $(OUTAGE)
