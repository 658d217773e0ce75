{{/* What a schema cannot say: values that contradict each other. */}}
{{- define "tributary.validateAgent" -}}
{{- include "tributary.validateGrace" . -}}
{{- include "tributary.validateLabels" . -}}
{{- include "tributary.validateEnv" (list . (list "TRIBUTARY_AGENT_CONFIG")) -}}
{{- include "tributary.validateTables" . -}}
{{- if and .Values.broker.enabled (not (or .Values.broker.image.tag .Values.broker.image.digest)) -}}
{{- fail "broker.image: needs tag or digest" -}}
{{- end -}}
{{- if .Values.serving.enabled -}}
{{- include "tributary.validateApart" (dict "serving.port" .Values.serving.port "serving.grpcPort" .Values.serving.grpcPort "the port of probes" 7446 "the port of metrics" 7447) -}}
{{- end -}}
{{- $names := dict -}}
{{- if .Values.broker.enabled -}}
{{- $_ := set $names "broker.enabled" "site" -}}
{{- end -}}
{{- range $index, $broker := .Values.brokers -}}
{{- $_ := set $names (printf "brokers[%d].name" $index) $broker.name -}}
{{- end -}}
{{- include "tributary.validateApart" $names -}}
{{- end -}}

{{/* Each table in a folder of its own, which is nobody else's. */}}
{{- define "tributary.validateTables" -}}
{{- $paths := dict -}}
{{- range $index, $table := .Values.tables -}}
{{- $path := clean $table.mountPath -}}
{{- if regexMatch "^/((tmp|etc/tributary|var/lib/tributary)(/.*)?)?$" $path -}}
{{- fail (printf "tables[%d].mountPath: %s is the agent's own; choose another folder" $index $path) -}}
{{- end -}}
{{- $_ := set $paths (printf "tables[%d].mountPath" $index) $path -}}
{{- end -}}
{{- include "tributary.validateApart" $paths -}}
{{- end -}}
