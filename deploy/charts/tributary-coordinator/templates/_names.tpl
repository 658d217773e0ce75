{{- define "tributary.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimAll "-" -}}
{{- end -}}

{{/*
A name for Services (RFC 1035: no dots, a letter first), which are the strictest: helm takes more for a release.
At most 52 characters, so that what is added still fits 63.
*/}}
{{- define "tributary.serviceName" -}}
{{- $name := lower . | replace "." "-" | trimAll "-" -}}
{{- if regexMatch "^[0-9]" $name -}}
{{- $name = printf "t%s" $name -}}
{{- end -}}
{{- $name | trunc 52 | trimAll "-" -}}
{{- end -}}

{{- define "tributary.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- include "tributary.serviceName" .Values.fullnameOverride -}}
{{- else -}}
{{- $name := include "tributary.name" . -}}
{{- if contains $name .Release.Name -}}
{{- include "tributary.serviceName" .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | include "tributary.serviceName" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What selects: never changed by an upgrade. */}}
{{- define "tributary.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tributary.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "tributary.labels" -}}
{{- include "tributary.labelsWith" (list . dict) -}}
{{- end -}}

{{/* The same with further ones, as (list . labels): those win over commonLabels, and these over the chart's. Each name once. */}}
{{- define "tributary.labelsWith" -}}
{{- $root := index . 0 -}}
{{- $own := include "tributary.selectorLabels" $root | fromYaml -}}
{{- $own = set $own "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $own = set $own "app.kubernetes.io/part-of" "tributary" -}}
{{- $own = set $own "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $own = set $own "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- merge dict (index . 1) (default dict $root.Values.commonLabels) $own | toYaml -}}
{{- end -}}

{{- define "tributary.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tributary.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Image of a dict with image and tag: the digest wins. */}}
{{- define "tributary.image" -}}
{{- $image := .image -}}
{{- $name := $image.repository -}}
{{- if $image.registry -}}
{{- $name = printf "%s/%s" $image.registry $image.repository -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name .tag -}}
{{- end -}}
{{- end -}}
