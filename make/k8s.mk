# The Helm charts. helm, the schemas of Kubernetes and of the operators' resources come from package
# registries at pinned versions, into build/tools.

HELM_VERSION := v3.16.4
CNPG_VERSION := v1.25.1
PROMETHEUS_OPERATOR_VERSION := v0.79.2
KUBERNETES_VALIDATE_VERSION := 1.37.0
TOOLS := $(abspath $(BUILD)/tools)

$(TOOLS)/helm:
	@command -v go >/dev/null || { echo "make k8s-lint: go is not installed (it builds helm)" >&2; exit 1; }
	GOBIN=$(TOOLS) go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

$(TOOLS)/crds:
	tests/k8s/fetch-crds.sh $@ \
		github.com/cloudnative-pg/cloudnative-pg@$(CNPG_VERSION) config/crd/bases \
		github.com/prometheus-operator/prometheus-operator@$(PROMETHEUS_OPERATOR_VERSION) example/prometheus-operator-crd

$(TOOLS)/venv:
	python3 -m venv $@.new && $@.new/bin/pip -q install kubernetes-validate==$(KUBERNETES_VALIDATE_VERSION) jsonschema PyYAML
	mv $@.new $@

.PHONY: k8s-lint
k8s-lint: $(TOOLS)/helm $(TOOLS)/crds $(TOOLS)/venv ## render the Helm charts, validate and check the manifests
	$(TOOLS)/venv/bin/python3 tests/k8s/lint.py $(TOOLS)/helm $(TOOLS)/crds
