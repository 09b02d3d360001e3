{{- define "shop.labels" -}}
app.kubernetes.io/part-of: outbox-shop
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{ include "shop.selector" . }}
{{- end }}

{{- define "shop.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/* Of an image's values: by digest where there is one. */}}
{{- define "shop.image" -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}

{{/* libpq conninfo without the password, which comes as PGPASSWORD from the role's Secret. */}}
{{- define "shop.conninfo" -}}
host={{ .root.Values.database.host }} port={{ .root.Values.database.port }} dbname={{ .database }} user={{ .role }} sslmode={{ .root.Values.database.sslmode }}
{{- end }}

{{- define "shop.passwordEnv" -}}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.database.credentialsPrefix }}{{ .role | replace "_" "-" }}
      key: password
{{- end }}

{{- define "shop.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "shop.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Startup, liveness and readiness on the port named http. The network's policies know a new pod some moments
after it has started, and refuse what is sent to it before: it is not ready then. */}}
{{- define "shop.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: http}
  initialDelaySeconds: 5
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{- define "shop.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "shop.selector" . | nindent 6 }}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "shop.selector" . | nindent 6 }}
{{- end }}

{{/* Whose events the service consumes, with commas; empty when it consumes none. */}}
{{- define "shop.consumes" -}}
{{- $sources := list }}
{{- range .root.Values.subscriptions }}{{ if eq .consumer $.name }}{{ $sources = append $sources .source }}{{ end }}{{ end -}}
{{- $sources | uniq | sortAlpha | join "," }}
{{- end }}

{{/* The Secret of the subscription of a consumer to a source. */}}
{{- define "shop.webhookSecret" -}}
{{ .root.Values.webhooks.prefix }}{{ .source }}.{{ .consumer }}
{{- end }}

{{/* What a consumer believes a signature by. Its pods read it when they start: that each source is named here makes
a consumer's pods, and no others, start anew when it subscribes to one more, before the Job makes the subscription. */}}
{{- define "shop.webhookEnv" -}}
{{- $list := list }}
{{- range $source := splitList "," (include "shop.consumes" .) }}
{{- $variable := printf "WEBHOOK_SECRET_%s" ($source | replace "-" "_" | upper) }}
{{- $list = append $list (printf "%s=$(%s)" $source $variable) }}
- name: {{ $variable }}
  valueFrom: {secretKeyRef: {name: {{ include "shop.webhookSecret" (dict "root" $.root "source" $source "consumer" $.name) }}, key: secret}}
{{- end }}
- {name: WEBHOOK_SECRETS, value: {{ join " " $list | quote }}}
{{- end }}

{{/* Service, ServiceAccount, PodDisruptionBudget and HorizontalPodAutoscaler of one workload. */}}
{{- define "shop.workload" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  labels: {{- include "shop.labels" . | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels: {{- include "shop.labels" . | nindent 4 }}
spec:
  selector: {{- include "shop.selector" . | nindent 4 }}
  ports:
    - {name: http, port: {{ .port }}, targetPort: http}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  labels: {{- include "shop.labels" . | nindent 4 }}
spec:
  # Also with one replica a node can be drained; a pod that is not ready never stands in the way.
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "shop.selector" . | nindent 6 }}
{{- with .autoscaling }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $.name }}
  labels: {{- include "shop.labels" $ | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $.name }}}
  minReplicas: {{ .minReplicas }}
  maxReplicas: {{ .maxReplicas }}
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: {{ .cpuPercent }}}}
{{- end }}
{{- end }}
