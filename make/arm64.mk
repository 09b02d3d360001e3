# The other processor that the images are for.
##@ More tests

.PHONY: arm64-test
arm64-test: has-arm64 ## build for arm64 in a chroot and run the unit tests in qemu (needs root)
	@BUILD=$(BUILD) tests/arm64/run.sh
