{{- define "database.labels" -}}
app.kubernetes.io/part-of: outbox-shop
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "database.exporterLabels" -}}
app.kubernetes.io/name: postgres-exporter
{{ include "database.labels" . }}
{{- end }}

{{/* What PostgreSQL's pods are known by. */}}
{{- define "database.podLabels" -}}
{{ ternary "cnpg.io/cluster: shop-database" "app.kubernetes.io/name: postgres" (eq .Values.postgres.mode "cloudnativepg") }}
{{- end }}

{{/* What 10-shop.sh reads, as files of one ConfigMap: its SQL, and the databases in the form of deploy/services.tsv. */}}
{{- define "database.provision" -}}
{{ (.Files.Glob "files/*").AsConfig }}
services.tsv: |
  {{- range $database, $options := .Values.databases }}
  {{ $database | replace "_" "-" }}{{ "\t-\t" }}{{ ternary "publishes" "-" $options.publishes }}
  {{- end }}
{{- end }}

{{/* Every login role: the databases' owners, the relay, who monitors, and the superuser of the StatefulSet. */}}
{{- define "database.roles" -}}
{{- $roles := keys .Values.databases | sortAlpha -}}
{{- $roles = concat $roles (list "relay" "monitor") -}}
{{- if eq .Values.postgres.mode "statefulset" }}{{ $roles = append $roles "postgres" }}{{ end -}}
{{- join "," $roles -}}
{{- end }}
