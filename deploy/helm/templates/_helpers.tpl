{{- define "gatesmith.selector" -}}
app.kubernetes.io/name: gatesmith
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gatesmith.labels" -}}
{{ include "gatesmith.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What every pod is: it speaks to no API by an account of its own, and writes nothing. */}}
{{- define "gatesmith.pod" -}}
automountServiceAccountToken: false
{{- with .Values.serviceAccount.name }}
serviceAccountName: {{ . }}
{{- end }}
{{- if .Values.sealing.toolImage }}
{{- if not .Values.sealing.toolCopy }}
{{- fail "sealing.toolCopy: the command that copies the program of sealing.toolImage to /tool" }}
{{- end }}
initContainers:
  - name: tool
    image: {{ .Values.sealing.toolImage | quote }}
    command: {{ toJson .Values.sealing.toolCopy }}
    securityContext:
      {{- include "gatesmith.confined" . | nindent 6 }}
    volumeMounts:
      - { name: tool, mountPath: /tool }
{{- end }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  # `node` of the image.
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "gatesmith.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Whether a program has the sealing key, or a former one, from elsewhere: what it writes is kept in memory. */}}
{{- define "gatesmith.unwraps" -}}
{{- if or .Values.sealing.command .Values.sealing.formerCommand }}yes{{ end }}
{{- end }}

{{- define "gatesmith.container" -}}
image: {{ .Values.image | quote }}
securityContext:
  {{- include "gatesmith.confined" . | nindent 2 }}
volumeMounts:
  - name: secrets
    mountPath: /etc/gatesmith
    readOnly: true
  {{- if include "gatesmith.unwraps" . }}
  - { name: tmp, mountPath: /tmp }
  {{- end }}
  {{- if .Values.sealing.toolImage }}
  - { name: tool, mountPath: /tool, readOnly: true }
  {{- end }}
  {{- if .Values.serviceAccount.audience }}
  - { name: token, mountPath: /var/run/gatesmith, readOnly: true }
  {{- end }}
{{- with .Values.settingsSecret }}
envFrom:
  - secretRef: { name: {{ . }} }
{{- end }}
{{- end }}

{{/* Settings that all processes have; `database` is the Secret with the URL. */}}
{{- define "gatesmith.settings" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef: { name: {{ .database }}, key: {{ .root.Values.database.key }} }
{{- with .root.Values.database.direct }}
- name: GATESMITH_DATABASE_DIRECT_URL
  valueFrom:
    secretKeyRef: { name: {{ $.database }}, key: {{ . }} }
{{- end }}
{{- with .root.Values.sealing }}
{{- if .command }}
- name: GATESMITH_SEALING_KEY_COMMAND
  value: {{ toJson .command | quote }}
{{- else }}
- name: GATESMITH_SEALING_KEY_FILE
  value: /etc/gatesmith/sealing-key
{{- end }}
{{- if .formerCommand }}
- name: GATESMITH_SEALING_KEYS_FORMER_COMMAND
  value: {{ toJson .formerCommand | quote }}
{{- else if .formerKey }}
- name: GATESMITH_SEALING_KEYS_FORMER_FILE
  value: /etc/gatesmith/sealing-keys-former
{{- end }}
{{- range $name, $value := .env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- if and (include "gatesmith.unwraps" .root) (not (hasKey .root.Values.sealing.env "HOME")) }}
- name: HOME
  value: /tmp
{{- end }}
- name: GATESMITH_PUBLIC_URL
  value: {{ .root.Values.publicUrl | quote }}
{{- range $name, $value := .root.Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* Not at loopback: kubelet and Prometheus ask from outside the pod, and the NetworkPolicy keeps others out. */}}
{{- define "gatesmith.metrics" -}}
{{- if not (hasKey .Values.settings "GATESMITH_METRICS_HOST") }}
- name: GATESMITH_METRICS_HOST
  value: 0.0.0.0
{{- end }}
- name: GATESMITH_METRICS_PORT
  value: '9464'
{{- end }}

{{- define "gatesmith.secrets" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ .root.Values.sealing.secret }}
          items:
            - { key: {{ .root.Values.sealing.key }}, path: sealing-key }
            {{- with .root.Values.sealing.formerKey }}
            - { key: {{ . }}, path: sealing-keys-former }
            {{- end }}
      {{- with .root.Values.database.ca }}
      - secret:
          name: {{ $.database }}
          items:
            - { key: {{ . }}, path: database-ca.crt }
      {{- end }}
{{- if include "gatesmith.unwraps" .root }}
- name: tmp
  emptyDir: { medium: Memory, sizeLimit: 64Mi }
{{- end }}
{{- if .root.Values.sealing.toolImage }}
- name: tool
  emptyDir: {}
{{- end }}
{{- with .root.Values.serviceAccount.audience }}
- name: token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: { path: token, audience: {{ . | quote }}, expirationSeconds: 3600 }
{{- end }}
{{- end }}

{{/* It is alive as long as it answers at all, and has two minutes to begin: it may wait for a migration. */}}
{{- define "gatesmith.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: {{ .port }} }
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /livez, port: {{ .port }} }
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: {{ .port }} }
  periodSeconds: 5
  # It answers within three, whatever the database does.
  timeoutSeconds: 4
{{- end }}

{{/* One pod more before one less, and the pods of a kind on machines of their own where there are as many. */}}
{{- define "gatesmith.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "gatesmith.selector" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
{{- end }}
