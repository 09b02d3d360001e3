{{- define "database.labels" -}}
app.kubernetes.io/part-of: outbox-shop
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Every login role: the databases' owners, the relay, and the superuser of the StatefulSet. */}}
{{- define "database.roles" -}}
{{- $roles := keys .Values.databases | sortAlpha -}}
{{- $roles = append $roles "relay" -}}
{{- if eq .Values.postgres.mode "statefulset" }}{{ $roles = append $roles "postgres" }}{{ end -}}
{{- join "," $roles -}}
{{- end }}
