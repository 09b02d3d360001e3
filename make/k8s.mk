# The Helm charts. helm, and the schemas of Kubernetes and of the operators' resources, come from package
# registries at pinned versions, into build/tools.
##@ Containers and Kubernetes

HELM_VERSION := v3.16.4
CNPG_VERSION := v1.25.1
PROMETHEUS_OPERATOR_VERSION := v0.79.2
TOOLS := $(abspath $(BUILD)/tools)
HELM := $(TOOLS)/helm-$(HELM_VERSION)
CRDS := $(TOOLS)/crds-$(CNPG_VERSION)-$(PROMETHEUS_OPERATOR_VERSION)
CLUSTER := $(TOOLS)/cluster
CNPG := $(TOOLS)/cnpg-$(CNPG_VERSION)
K8S_PYTHON := $(TOOLS)/k8s-venv/bin/python3

need_go = @command -v go >/dev/null || \
	{ echo "make $(MAKECMDGOALS): go is missing; it $(1). Install 1.22 or later: golang-go of Ubuntu 24.04 or bookworm-backports, or https://go.dev/dl" >&2; exit 1; }

$(HELM):
	$(call need_go,builds helm)
	GOBIN=$(TOOLS)/helm.new go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)
	mv $(TOOLS)/helm.new/helm $@

$(CRDS):
	$(call need_go,fetches the operators' definitions)
	tests/k8s/fetch-crds.sh $@ \
		github.com/cloudnative-pg/cloudnative-pg@$(CNPG_VERSION) config/crd/bases \
		github.com/prometheus-operator/prometheus-operator@$(PROMETHEUS_OPERATOR_VERSION) example/prometheus-operator-crd

$(K8S_PYTHON): tests/k8s/requirements.txt | has-charts
	@rm -rf $(TOOLS)/k8s-venv && mkdir -p $(TOOLS)
	@python3 -m venv $(TOOLS)/k8s-venv >/dev/null
	$(TOOLS)/k8s-venv/bin/pip -q install -r tests/k8s/requirements.txt || { rm -rf $(TOOLS)/k8s-venv; exit 1; }
	@touch $@

$(CLUSTER): tests/k8s/cluster/build.sh $(wildcard tests/k8s/cluster/programs/*.* tests/k8s/cluster/programs/*/*)
	$(call need_go,builds Kubernetes)
	tests/k8s/cluster/build.sh $@
	@touch $@

# The operator's program, and the manifests of its release.
$(CNPG):
	$(call need_go,builds CloudNativePG)
	rm -rf $@.new
	mkdir -p $@.new
	cd "$$(go mod download -json github.com/cloudnative-pg/cloudnative-pg@$(CNPG_VERSION) | \
		sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p')" && \
		CGO_ENABLED=0 go build -buildvcs=false -ldflags '-s -w' -o $@.new/ ./cmd/manager && \
		cp releases/cnpg-$(CNPG_VERSION:v%=%).yaml $@.new/release.yaml
	mv $@.new $@

.PHONY: k8s-lint k8s-test k8s-production-test
k8s-lint: $(HELM) $(CRDS) $(K8S_PYTHON) ## render the Helm charts and check the manifests (needs go)
	$(K8S_PYTHON) -B tests/k8s/lint.py $(HELM) $(CRDS)

k8s-test: has-k8s $(HELM) $(CLUSTER) $(K8S_PYTHON) ## the charts in a Kubernetes cluster that is built here (needs go and root)
	@BUILD=$(BUILD) TOOLS=$(CLUSTER) HELM=$(HELM) PYTHON=$(K8S_PYTHON) tests/k8s/run.sh

k8s-production-test: has-k8s $(HELM) $(CLUSTER) $(CNPG) $(CRDS) ## the same with values-production.yaml and CloudNativePG
	@BUILD=$(BUILD) TOOLS=$(CLUSTER) HELM=$(HELM) CNPG=$(CNPG) CRDS=$(CRDS) tests/k8s/run.sh production
