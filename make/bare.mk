# The first minute on a machine where nothing is installed yet.
##@ Containers and Kubernetes

.PHONY: bare-test
bare-test: has-bare ## check that each target works on a bare Debian 12 with git and make; SHORT=yes for a part
	@BUILD=$(BUILD) SHORT=$(SHORT) tests/bare/run.sh
