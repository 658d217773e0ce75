{{/* What a schema cannot say: values that contradict each other. */}}
{{- define "tributary.validateCoordinator" -}}
{{- include "tributary.validateGrace" . -}}
{{- include "tributary.validateLabels" . -}}
{{- $settings := include (print $.Template.BasePath "/settings.yaml") . | fromYaml -}}
{{- include "tributary.validateEnv" (list . (keys $settings.data | sortAlpha)) -}}
{{- $ports := dict -}}
{{- range $kind, $port := .Values.service.ports -}}
{{- $_ := set $ports (printf "service.ports.%s" $kind) $port -}}
{{- end -}}
{{- if .Values.tunnel.enabled -}}
{{- $_ := set $ports "tunnel.port" .Values.tunnel.port -}}
{{- end -}}
{{- include "tributary.validateApart" $ports -}}
{{- $nodePorts := dict -}}
{{- range $kind, $port := .Values.service.nodePorts -}}
{{- if gt (int $port) 0 -}}
{{- $_ := set $nodePorts (printf "service.nodePorts.%s" $kind) $port -}}
{{- end -}}
{{- end -}}
{{- include "tributary.validateApart" $nodePorts -}}
{{- if .Values.traefik.enabled -}}
{{- $hosts := dict -}}
{{- range $kind, $address := .Values.advertise -}}
{{- if and $address (or (ne $kind "tunnel") $.Values.tunnel.enabled) -}}
{{- $host := include "tributary.toldHost" (list $ $kind) -}}
{{- if or (contains ":" $host) (regexMatch "^[0-9.]+$" $host) -}}
{{- fail (printf "advertise.%s: Traefik tells connections apart by server name, and %s is none; give a name" $kind $address) -}}
{{- end -}}
{{- $_ := set $hosts (printf "advertise.%s" $kind) $host -}}
{{- end -}}
{{- end -}}
{{- include "tributary.validateApart" $hosts -}}
{{- end -}}
{{- end -}}
