# Model checking of the wake-up and the lease.
##@ More tests

.PHONY: model
model: has-model ## check the Spin models, and that their mutants fail
	tests/model/run.sh
