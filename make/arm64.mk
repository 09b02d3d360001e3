# The other processor that the images are for.

.PHONY: arm64-test
arm64-test: ## build for arm64 in a chroot, and run the unit tests under qemu; as root
	@BUILD=$(BUILD) tests/arm64/run.sh
