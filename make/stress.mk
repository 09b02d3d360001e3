# The shop under load, with its database killed in the middle.
##@ More tests

DURATION ?= 60
CLIENTS ?= 8
OUTAGE ?= 5

.PHONY: stress
stress: has-stress ## load through the gateway while PostgreSQL is killed; DURATION=60 CLIENTS=8 OUTAGE=5
	+@$(GO_ON) all
	@BUILD=$(BUILD) /usr/bin/python3 tests/chaos/stress.py --duration $(DURATION) --clients $(CLIENTS) \
		--outage $(OUTAGE)
