{{/* What selects the Pods. It can't change: a Deployment's selector is fixed for its life. */}}
{{- define "quorate.selectorLabels" -}}
app.kubernetes.io/name: quorate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "quorate.labels" -}}
{{ include "quorate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "quorate.metadata" -}}
name: quorate
namespace: {{ .Release.Namespace }}
labels:
  {{- include "quorate.labels" . | nindent 2 }}
{{- end }}

{{- define "quorate.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The Secret that holds the serving certificate. */}}
{{- define "quorate.tlsSecret" -}}
{{ eq .Values.certificates.mode "secret" | ternary .Values.certificates.secretName "quorate-tls" }}
{{- end }}

{{/* What every Pod of ours may not do: Pod Security's "restricted". */}}
{{- define "quorate.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "quorate.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The names of the shipped policies to load, as JSON. */}}
{{- define "quorate.shipped" -}}
{{ .Values.policies.shipped | default (list (ternary "baseline" "observe" .Values.enforce)) | toJson }}
{{- end }}
