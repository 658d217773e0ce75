{{- define "tributary.agentIngress" -}}
{{- with .Values.networkPolicy.metrics }}
- ports:
    - { port: 7447, protocol: TCP }
  from:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- if .Values.tests.enabled }}
- ports:
    - { port: 7447, protocol: TCP }
  from:
    - podSelector:
        matchLabels:
          {{- include "tributary.selectorLabels" . | nindent 10 }}
          app.kubernetes.io/component: test
{{- end }}
{{- if and .Values.serving.enabled .Values.networkPolicy.clients }}
- ports:
    - { port: {{ .Values.serving.port }}, protocol: TCP }
    - { port: {{ .Values.serving.grpcPort }}, protocol: TCP }
  from:
    {{- toYaml .Values.networkPolicy.clients | nindent 4 }}
{{- end }}
{{- end -}}

{{/* Behind a proxy nothing is dialled but the proxy, unless noProxy says otherwise. */}}
{{- define "tributary.agentEgress" -}}
{{- $dialled := list }}
{{- range .Values.networkPolicy.coordinatorPorts }}
{{- $dialled = append $dialled (int .) }}
{{- end }}
{{- with .Values.coordinator.tunnel }}
{{- $dialled = append $dialled (include "tributary.portOf" (list . 443) | int) }}
{{- end }}
{{- if and $dialled (or (not .Values.proxy.url) .Values.proxy.noProxy) }}
- ports:
    {{- range uniq $dialled }}
    - { port: {{ . }}, protocol: TCP }
    {{- end }}
  {{- with .Values.networkPolicy.coordinator }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- if .Values.proxy.url }}
- ports:
    - { port: {{ include "tributary.portOf" (list .Values.proxy.url 80) }}, protocol: TCP }
  {{- with .Values.networkPolicy.proxy }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- $ports := list }}
{{- range .Values.brokers }}
{{- $ports = append $ports (include "tributary.portOf" (list .url (ternary 8883 1883 (hasPrefix "mqtts:" .url)))) }}
{{- end }}
{{- with $ports }}
- ports:
    {{- range uniq . }}
    - { port: {{ . }}, protocol: TCP }
    {{- end }}
  {{- with $.Values.networkPolicy.brokers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- if .Values.broker.enabled }}
- ports:
    - { port: 1883, protocol: TCP }
  to:
    - podSelector:
        matchLabels:
          {{- include "tributary.selectorLabels" . | nindent 10 }}
          app.kubernetes.io/component: broker
{{- end }}
{{- end -}}

{{/* Port of a URL, as (list url default). */}}
{{- define "tributary.portOf" -}}
{{- regexFind ":[0-9]+/?$" (index . 0) | trimPrefix ":" | trimSuffix "/" | default (index . 1) -}}
{{- end -}}
