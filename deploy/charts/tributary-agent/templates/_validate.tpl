{{/* What a schema cannot say: values that contradict each other. */}}
{{- define "tributary.validate" -}}
{{- include "tributary.validateGrace" . -}}
{{- include "tributary.validateLabels" . -}}
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
