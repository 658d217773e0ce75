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

{{/* Where a pod may run, as (list . tolerations). */}}
{{- define "tributary.scheduling" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with index . 1 }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Labels that select stay as the chart sets them. */}}
{{- define "tributary.validateLabels" -}}
{{- range $field, $labels := dict "podLabels" .Values.podLabels "commonLabels" .Values.commonLabels -}}
{{- range $label := keys (default dict $labels) -}}
{{- if regexMatch "^app\\.kubernetes\\.io/(name|instance|component|managed-by)$" $label -}}
{{- fail (printf "%s: %s is the chart's own; choose another label" $field $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The drain of 10 s comes after the pause. */}}
{{- define "tributary.validateGrace" -}}
{{- if le (int .Values.terminationGracePeriodSeconds) (add 10 .Values.preStopSeconds | int) -}}
{{- fail "terminationGracePeriodSeconds: must be longer than preStopSeconds and the drain of 10 s together" -}}
{{- end -}}
{{- end -}}

{{/* Values that have to differ, by their fields. */}}
{{- define "tributary.validateApart" -}}
{{- $seen := dict -}}
{{- range $field, $value := . -}}
{{- $text := toString $value -}}
{{- if hasKey $seen $text -}}
{{- fail (printf "%s and %s: both are %s; they must differ" (get $seen $text) $field $text) -}}
{{- end -}}
{{- $_ := set $seen $text $field -}}
{{- end -}}
{{- end -}}

{{/* Variables, each once, as (list . names): the chart's own among them. */}}
{{- define "tributary.validateEnv" -}}
{{- $root := index . 0 -}}
{{- $names := dict -}}
{{- range index . 1 -}}
{{- $_ := set $names (printf "the chart's %s" .) . -}}
{{- end -}}
{{- range $index, $variable := $root.Values.extraEnv -}}
{{- $_ := set $names (printf "extraEnv[%d].name" $index) $variable.name -}}
{{- end -}}
{{- include "tributary.validateApart" $names -}}
{{- end -}}
