# The first minute on a machine where nothing is installed yet.
##@ Containers and Kubernetes

.PHONY: bare-test
bare-test: has-bare ## run the targets on a bare Debian 12; SHORT=yes for a part, TARGETS=lint for that one
	@BUILD=$(BUILD) SHORT=$(SHORT) tests/bare/run.sh $(TARGETS)
