{{/* Pod Security "restricted": not open to values, but for the numbers. */}}
{{- define "tributary.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ int64 .Values.user.id }}
runAsGroup: {{ int64 .Values.user.group }}
fsGroup: {{ int64 .Values.user.group }}
# The volume's files are private to their owner; changing all of them at each start would open them to the group.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "tributary.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The action "sleep" came with 1.30; before it the image's Node.js waits. */}}
{{- define "tributary.preStop" -}}
{{- if gt (int .Values.preStopSeconds) 0 -}}
lifecycle:
  preStop:
    {{- if semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version }}
    sleep:
      seconds: {{ .Values.preStopSeconds }}
    {{- else }}
    exec:
      command: [node, -e, {{ printf "setTimeout(() => {}, %d)" (mul 1000 .Values.preStopSeconds) | quote }}]
    {{- end }}
{{- end -}}
{{- end -}}
