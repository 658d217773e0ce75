/** What a field may be: `*` anything, the name of a type, a list of one shape, or fields by name. */
export type Shape = string | readonly [Shape] | { readonly [field: string]: Shape };

/**
 * Kinds of other projects that our manifests use, with the fields of them that we may use, from their own API references:
 * Prometheus Operator (monitoring.coreos.com/v1), Traefik 3 (traefik.io/v1alpha1), K3s's helm-controller.
 */
export const CUSTOM_KINDS: ReadonlyMap<string, Readonly<Record<string, Shape>>> = new Map<
  string,
  Readonly<Record<string, Shape>>
>([
  [
    'monitoring.coreos.com/v1/ServiceMonitor',
    {
      spec: {
        jobLabel: 'string',
        selector: { matchLabels: '*' },
        namespaceSelector: { matchNames: ['string'], any: 'boolean' },
        endpoints: [{ port: 'string', path: 'string', interval: 'string', scheme: 'string' }],
      },
    },
  ],
  [
    'monitoring.coreos.com/v1/PrometheusRule',
    {
      spec: {
        groups: [
          {
            name: 'string',
            interval: 'string',
            rules: [{ alert: 'string', expr: 'string', for: 'string', labels: '*', annotations: '*' }],
          },
        ],
      },
    },
  ],
  [
    'traefik.io/v1alpha1/IngressRouteTCP',
    {
      spec: {
        entryPoints: ['string'],
        routes: [{ match: 'string', services: [{ name: 'string', port: '*' }] }],
        tls: { passthrough: 'boolean' },
      },
    },
  ],
  [
    'helm.cattle.io/v1/HelmChart',
    {
      spec: {
        chart: 'string',
        chartContent: 'string',
        version: 'string',
        targetNamespace: 'string',
        createNamespace: 'boolean',
        valuesContent: 'string',
        timeout: 'string',
      },
    },
  ],
]);
