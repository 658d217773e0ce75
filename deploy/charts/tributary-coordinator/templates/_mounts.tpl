{{- define "tributary.coordinatorMounts" -}}
- { name: data, mountPath: /var/lib/tributary }
- { name: tmp, mountPath: /tmp }
{{- if .Values.sealKey.existingSecret }}
- { name: seal, mountPath: /etc/tributary/seal, readOnly: true }
{{- end }}
{{- if and .Values.tunnel.enabled .Values.tunnel.tlsSecret }}
- { name: tunnel, mountPath: /etc/tributary/tunnel, readOnly: true }
{{- end }}
{{- end -}}
