{{- define "pod" -}}
{{- with .root -}}
serviceAccountName: {{ include "fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
# Above MAILROUTER_SHUTDOWN_SECONDS: what is under way ends, the rest goes back to the broker.
terminationGracePeriodSeconds: {{ add (ceil .Values.shutdownSeconds) 10 }}
securityContext:
  runAsNonRoot: true
  {{- with .Values.userId }}
  runAsUser: {{ int . }}
  runAsGroup: {{ int . }}
  fsGroup: {{ int . }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "selector" . | nindent 8 }}
        app.kubernetes.io/component: {{ $.role }}
containers:
  - name: worker
    image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    env:
      {{- include "environment" $ | nindent 6 }}
    {{- with .Values.secrets.environment }}
    envFrom:
      {{- range . }}
      - secretRef: {name: {{ . }}}
      {{- end }}
    {{- end }}
    ports:
      - {name: http, containerPort: 9464}
    startupProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 2
      failureThreshold: 30
    livenessProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      periodSeconds: 5
      timeoutSeconds: 5
    resources:
      {{- toYaml $.worker.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - {name: spool, mountPath: /var/spool/mailrouter}
      {{- if include "profiles.configmap" . }}
      - {name: profiles, mountPath: /etc/mailrouter, readOnly: true}
      {{- end }}
      {{- if .Values.secrets.files }}
      - {name: secrets, mountPath: /run/mailrouter, readOnly: true}
      {{- end }}
      {{- if .Values.attachments.existingClaim }}
      - {name: attachments, mountPath: /var/lib/mailrouter}
      {{- end }}
volumes:
  - name: spool
    emptyDir: {sizeLimit: {{ .Values.spoolSize }}}
  {{- with include "profiles.configmap" . }}
  - name: profiles
    configMap: {name: {{ . }}}
  {{- end }}
  {{- with .Values.secrets.files }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- range . }}
        - secret: {name: {{ . }}}
        {{- end }}
  {{- end }}
  {{- with .Values.attachments.existingClaim }}
  - name: attachments
    persistentVolumeClaim: {claimName: {{ . }}}
  {{- end }}
{{- end }}
{{- end }}

{{- define "environment" -}}
{{- with .root -}}
- name: MAILROUTER_AMQP_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.broker.existingSecret }}, key: {{ .Values.broker.key }}}
- name: MAILROUTER_ROLES
  value: {{ include "roles" $.role }}
- name: MAILROUTER_HTTP
  value: {{ printf "%s:9464" .Values.listenAddress | quote }}
- name: MAILROUTER_SHUTDOWN_SECONDS
  value: {{ toJson .Values.shutdownSeconds | quote }}
- name: MAILROUTER_PROFILES
  value: {{ if include "profiles.configmap" . }}/etc/mailrouter/profiles.toml{{ else }}broker{{ end }}
{{- with .Values.correlationKey.existingSecret }}
- name: MAILROUTER_CORRELATION_KEY
  value: env:CORRELATION_KEY
- name: CORRELATION_KEY
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $.root.Values.correlationKey.key }}}
{{- end }}
{{- with .Values.attachments.url }}
- name: MAILROUTER_ATTACHMENT_STORE
  value: {{ . | quote }}
{{- end }}
{{- range $name, $value := merge dict $.worker.settings .Values.settings }}
- name: MAILROUTER_{{ upper $name }}
  value: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ toJson $value | quote }}{{ end }}
{{- end }}
{{- with .Values.extraEnvironment }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}
