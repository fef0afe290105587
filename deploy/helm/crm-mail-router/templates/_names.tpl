{{- define "name" -}}
{{- .Chart.Name }}
{{- end }}

{{- define "fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* What never changes: a Deployment's selector cannot. */ -}}
{{- define "selector" -}}
app.kubernetes.io/name: {{ include "name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "roles" -}}
{{- if eq . "both" }}outbound,inbound{{ else }}{{ . }}{{ end }}
{{- end }}

{{- define "profiles.configmap" -}}
{{- if .Values.profiles.existingConfigMap -}}
{{- .Values.profiles.existingConfigMap }}
{{- else if .Values.profiles.text -}}
{{- include "fullname" . }}-profiles
{{- end }}
{{- end }}
