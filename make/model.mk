# Model checking of the wake-up and the lease.

.PHONY: model
model: ## check the Spin models, and that their mutants fail
	tests/model/run.sh
