{{/* The image of the agent: with a GPU another tag. */}}
{{- define "tributary.agentImage" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if .Values.gpu.enabled -}}
{{- if and .Values.gpu.tagSuffix .Values.image.digest -}}
{{- fail "gpu.tagSuffix: a digest names one image, and no tag is read; give the digest of the one with CUDA and tagSuffix ''" -}}
{{- end -}}
{{- $tag = printf "%s%s" $tag .Values.gpu.tagSuffix -}}
{{- end -}}
{{- include "tributary.image" (dict "image" .Values.image "tag" $tag) -}}
{{- end -}}

{{/* With a GPU its nodes' taints too. */}}
{{- define "tributary.podTolerations" -}}
{{- concat (default list .Values.tolerations) (ternary (default list .Values.gpu.tolerations) list .Values.gpu.enabled) | toYaml -}}
{{- end -}}

{{/* agent.yaml. */}}
{{- define "tributary.config" -}}
{{- $config := dict "formatVersion" 1 "dataDir" "/var/lib/tributary/data" "logLevel" .Values.logLevel "metricsPort" 7447 "healthPort" 7446 "healthHost" .Values.healthHost -}}
{{- if or .Values.policy.document .Values.policy.existingConfigMap -}}
{{- $_ := set $config "policy" "/etc/tributary/policy/site-policy.yaml" -}}
{{- end -}}
{{- if .Values.sealKey.existingSecret -}}
{{- $_ := set $config "sealKeyFile" "/etc/tributary/seal/seal.key" -}}
{{- end -}}
{{- if eq .Values.mode "Train" -}}
{{- $_ := set $config "trainer" (dict "type" "Tfjs" "backend" .Values.trainer.backend) -}}
{{- with .Values.datasets -}}
{{- $_ := set $config "datasets" . -}}
{{- end -}}
{{- end -}}
{{- if .Values.proxy.url -}}
{{- $_ := set $config "proxy" (include "tributary.proxy" . | fromYaml) -}}
{{- end -}}
{{- if .Values.coordinator.tunnel -}}
{{- $_ := set $config "coordinator" (dict "tunnel" .Values.coordinator.tunnel) -}}
{{- end -}}
{{- if .Values.caBundle.configMap -}}
{{- $_ := set $config "caBundle" "/etc/tributary/ca/ca.crt" -}}
{{- end -}}
{{- if or .Values.serving.enabled .Values.serving.fits -}}
{{- $_ := set $config "serving" (include "tributary.serving" . | fromYaml) -}}
{{- end -}}
{{- with include "tributary.brokers" . | fromYamlArray -}}
{{- $_ := set $config "brokers" . -}}
{{- end -}}
{{- if .Values.pipelines -}}
{{- $paths := list -}}
{{- range $name := keys .Values.pipelines | sortAlpha -}}
{{- $paths = append $paths (printf "/etc/tributary/agent/pipeline-%s.yaml" $name) -}}
{{- end -}}
{{- $_ := set $config "pipelines" $paths -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "tributary.proxy" -}}
url: {{ .Values.proxy.url | quote }}
{{- with .Values.proxy.username }}
username: {{ . | quote }}
{{- end }}
{{- if .Values.proxy.passwordSecret.name }}
passwordFile: /etc/tributary/proxy/password
{{- end }}
{{- with .Values.proxy.noProxy }}
noProxy:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "tributary.serving" -}}
{{- if .Values.serving.enabled -}}
{{- $_ := required "serving.tokenSecret.name: callers over TCP show a token; name the Secret that holds it" .Values.serving.tokenSecret.name -}}
host: {{ .Values.healthHost | quote }}
port: {{ .Values.serving.port }}
grpcPort: {{ .Values.serving.grpcPort }}
tokenFile: /etc/tributary/serving/token
{{- with .Values.serving.decisions }}
decisions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .Values.serving.fits }}
fits:
  {{- range . }}
  - {{ printf "/etc/tributary/fits/%s" . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "tributary.brokers" -}}
{{- range .Values.brokers }}
- name: {{ .name | quote }}
  url: {{ .url | quote }}
  {{- with .protocol }}
  protocol: {{ . }}
  {{- end }}
  {{- with .clientId }}
  clientId: {{ . | quote }}
  {{- end }}
  {{- with .username }}
  username: {{ . | quote }}
  {{- end }}
  {{- if .passwordSecret }}
  passwordFile: {{ printf "/etc/tributary/brokers/%s/password" .name | quote }}
  {{- end }}
  {{- if .caConfigMap }}
  caFile: /etc/tributary/brokers/{{ .name }}/ca.crt
  {{- end }}
  {{- if .clientCertificateSecret }}
  certFile: /etc/tributary/brokers/{{ .name }}/tls.crt
  keyFile: /etc/tributary/brokers/{{ .name }}/tls.key
  {{- end }}
{{- end }}
{{- if .Values.broker.enabled }}
- name: site
  url: mqtt://{{ include "tributary.fullname" . }}-broker:1883
  username: tributary-agent
  passwordFile: /etc/tributary/brokers/site/password
{{- end }}
{{- end -}}
