{{/* Volumes with their mounts, as a list of dicts with name, source, path and what else a mount takes. */}}
{{- define "tributary.files" -}}
# Modes are decimal: 288 is 0440, readable by the group, which is the process's alone.
- name: config
  path: /etc/tributary/agent
  source:
    configMap: { name: {{ include "tributary.fullname" . | quote }} }
{{- if or .Values.policy.document .Values.policy.existingConfigMap }}
- name: policy
  # A folder, not a file: what changes in the ConfigMap arrives here.
  path: /etc/tributary/policy
  source:
    configMap:
      name: {{ default (printf "%s-policy" (include "tributary.fullname" .)) .Values.policy.existingConfigMap | quote }}
      items:
        - { key: {{ ternary .Values.policy.key "site-policy.yaml" (ne .Values.policy.existingConfigMap "") | quote }}, path: site-policy.yaml }
{{- end }}
{{- if .Values.sealKey.existingSecret }}
- name: seal
  path: /etc/tributary/seal
  source: {{ include "tributary.secretFile" (list .Values.sealKey.existingSecret .Values.sealKey.key "seal.key") }}
{{- end }}
{{- if .Values.proxy.passwordSecret.name }}
- name: proxy
  path: /etc/tributary/proxy
  source: {{ include "tributary.secretFile" (list .Values.proxy.passwordSecret.name .Values.proxy.passwordSecret.key "password") }}
{{- end }}
{{- if .Values.caBundle.configMap }}
- name: ca
  path: /etc/tributary/ca
  source:
    configMap:
      name: {{ .Values.caBundle.configMap | quote }}
      items: [{ key: {{ .Values.caBundle.key | quote }}, path: ca.crt }]
{{- end }}
{{- if .Values.serving.enabled }}
- name: serving
  path: /etc/tributary/serving
  source: {{ include "tributary.secretFile" (list .Values.serving.tokenSecret.name .Values.serving.tokenSecret.key "token") }}
{{- end }}
{{- if .Values.serving.fits }}
- name: fits
  path: /etc/tributary/fits
  source:
    secret:
      secretName: {{ required "serving.fitsSecret: the Secret that holds serving.fits" .Values.serving.fitsSecret | quote }}
      defaultMode: 288
{{- end }}
{{- if .Values.broker.enabled }}
- name: broker-site
  path: /etc/tributary/brokers/site
  source: {{ include "tributary.secretFile" (list .Values.broker.existingSecret "agent-password" "password") }}
{{- end }}
{{- range .Values.brokers }}
{{- if or .passwordSecret .caConfigMap .clientCertificateSecret }}
- name: {{ printf "broker-%s" .name | quote }}
  path: {{ printf "/etc/tributary/brokers/%s" .name | quote }}
  source:
    projected:
      defaultMode: 288
      sources:
        {{- with .passwordSecret }}
        - secret: { name: {{ .name | quote }}, items: [{ key: {{ .key | quote }}, path: password }] }
        {{- end }}
        {{- with .caConfigMap }}
        - configMap: { name: {{ .name | quote }}, items: [{ key: {{ .key | quote }}, path: ca.crt }] }
        {{- end }}
        {{- with .clientCertificateSecret }}
        - secret: { name: {{ . | quote }}, items: [{ key: tls.crt, path: tls.crt }, { key: tls.key, path: tls.key }] }
        {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* One key of a Secret as a file that the process's group alone reads, as (list secret key file). */}}
{{- define "tributary.secretFile" -}}
{{- dict "secret" (dict "secretName" (index . 0) "defaultMode" 288 "items" (list (dict "key" (index . 1) "path" (index . 2)))) | toJson -}}
{{- end -}}

{{- define "tributary.agentMounts" -}}
- { name: data, mountPath: /var/lib/tributary }
- { name: tmp, mountPath: /tmp }
{{- range include "tributary.files" . | fromYamlArray }}
- { name: {{ .name | quote }}, mountPath: {{ .path | quote }}, readOnly: true }
{{- end }}
{{- end -}}
