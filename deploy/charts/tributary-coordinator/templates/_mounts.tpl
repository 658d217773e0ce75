{{- define "tributary.mounts" -}}
- { name: data, mountPath: /var/lib/tributary }
- { name: tmp, mountPath: /tmp }
{{- if .Values.sealKey.existingSecret }}
- { name: seal, mountPath: /etc/tributary/seal, readOnly: true }
{{- end }}
{{- end -}}
