import type { ChartName, Values } from './charts.js';

const POLICY = `apiVersion: tributary.dev/v1alpha1
kind: SitePolicy
metadata: { name: north }
spec:
  coordinators: { type: Enrolled }
  authors: [{ name: credit-risk, key: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= }]
  datasets: [{ name: stays, columns: ['*'], minimumRows: 500 }]
`;
const EVERYWHERE = [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } }];
const DIGEST = `sha256:${'5'.repeat(64)}`;

/** Labels of the chart's own, and one that is given in several places. */
const AGAIN = { 'helm.sh/chart': 'mine', release: 'prometheus' };
const TAKEN_AWAY = {
  ...{ resources: null, nodeSelector: null, tolerations: null, affinity: null, priorityClassName: null },
  ...{ extraEnv: null, imagePullSecrets: null, nameOverride: null, fullnameOverride: null },
};

/** Values that the charts are held against, by name: what operators of different places would write. */
export const VALUE_SETS: Readonly<Record<ChartName, Readonly<Record<string, Values>>>> = {
  'tributary-coordinator': {
    smallest: { federation: { host: 'hub.example.org' } },
    'words that YAML 1.1 takes for something else': {
      federation: { name: 'on', host: '10', additionalHosts: ['yes', '0123'] },
      sealKey: { existingSecret: 'no', key: 'y' },
      persistence: { existingClaim: '123', storageClass: 'off' },
      serviceAccount: { name: 'null' },
      priorityClassName: 'true',
      podLabels: { ward: 'no' },
      imagePullSecrets: [{ name: '1e3' }],
    },
    'a load balancer and a key of its own': {
      federation: { name: 'clinics', host: '2001:db8::7', additionalHosts: ['hub.example.org'] },
      sealKey: { existingSecret: 'hub-seal' },
      image: { registry: '', digest: DIGEST, pullPolicy: 'Always' },
      service: {
        ...{ type: 'LoadBalancer', loadBalancerIP: '192.0.2.7', loadBalancerSourceRanges: ['192.0.2.0/24'] },
        ...{ externalTrafficPolicy: 'Local', annotations: { 'example.org/pool': 'public' } },
        ports: { fleet: 443 },
      },
      networkPolicy: { agents: EVERYWHERE, operators: [], metrics: [] },
      user: { id: 1_000_660_000, group: 1_000_660_000 },
    },
    'behind Traefik': {
      federation: { host: 'hub.example.org' },
      advertise: {
        fleet: 'fleet.example.org:443',
        enrol: 'enrol.example.org:443',
        admin: 'admin.example.org:443',
        tunnel: 'tunnel.example.org:443',
      },
      tunnel: { enabled: true },
      listenHost: '::',
      traefik: { enabled: true },
      service: { type: 'NodePort', nodePorts: { fleet: 30_443 } },
    },
    'what the chart has already, and nothing where it has something': {
      federation: { host: 'hub', additionalHosts: null },
      commonLabels: { ...AGAIN, 'app.kubernetes.io/part-of': 'clinics' },
      podLabels: AGAIN,
      podAnnotations: { 'checksum/settings': 'mine' },
      persistence: { annotations: { 'helm.sh/resource-policy': 'mine' }, storageClass: '-' },
      metrics: {
        serviceMonitor: { labels: AGAIN, interval: '1m30s' },
        prometheusRule: { labels: AGAIN },
        dashboard: { labels: { ...AGAIN, grafana_dashboard: 'true' } },
      },
      image: { registry: 'mirror.example.org:5000/team/a__b' },
      service: { type: 'NodePort', nodePorts: { tunnel: 30_448 } },
      tunnel: { enabled: true },
      networkPolicy: { operators: null, metrics: null, dns: { peers: null } },
      ...TAKEN_AWAY,
    },
    'as little as possible': {
      federation: { host: 'hub' },
      networkPolicy: { enabled: false },
      metrics: {
        serviceMonitor: { enabled: false },
        prometheusRule: { enabled: false },
        dashboard: { enabled: false },
      },
      tests: { enabled: false },
      serviceAccount: { create: false },
      persistence: { keep: false },
      preStopSeconds: 0,
    },
    'everything that a pod takes': {
      federation: { host: 'hub.example.org' },
      fullnameOverride: 'a-name-that-is-much-longer-than-kubernetes-lets-names-of-services-be',
      commonLabels: { team: 'edge' },
      podAnnotations: { note: 'a: b' },
      nodeSelector: { disk: 'fast' },
      tolerations: [{ key: 'dedicated', operator: 'Exists', effect: 'NoSchedule' }],
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }] }],
          },
        },
      },
      extraEnv: [{ name: 'NODE_OPTIONS', value: '--max-old-space-size=2048' }],
      resources: { requests: { cpu: 2, memory: '2Gi' }, limits: { memory: '8Gi' } },
      persistence: { size: '1Ti', storageClass: 'fast', annotations: { backup: 'daily' } },
      serviceAccount: { name: 'hub', annotations: { note: 'x' } },
      metrics: { prometheusRule: { labels: { release: 'prometheus' }, runbookUrl: 'https://example.org/r' } },
    },
  },
  'tributary-agent': {
    smallest: {},
    'a site with a table and a policy': {
      joinToken: { existingSecret: 'north-token' },
      policy: { document: POLICY },
      tables: [{ claim: 'labor', mountPath: '/tables/labor', subPath: 'csv' }],
      datasets: [
        { name: 'stays', path: '/tables/labor/stays.csv', format: 'Csv', delimiter: ';', key: 'pid' },
      ],
      sealKey: { existingSecret: 'north-seal' },
    },
    'words that YAML 1.1 takes for something else': {
      joinToken: { existingSecret: 'no', key: 'y' },
      sealKey: { existingSecret: '123', key: 'on' },
      policy: { existingConfigMap: 'off', key: 'n' },
      tables: [{ claim: '1e3', mountPath: '/true', subPath: 'yes' }],
      persistence: { existingClaim: 'null' },
      caBundle: { configMap: 'true', key: 'no' },
      serving: { enabled: true, tokenSecret: { name: '1', key: 'y' }, fitsSecret: 'on', fits: ['no'] },
      brokers: [
        {
          ...{ name: 'on', url: 'mqtts://10:8884', username: 'y', clientId: 'no', protocol: 'V3' },
          ...{ passwordSecret: { name: 'no', key: 'y' }, clientCertificateSecret: 'yes' },
          caConfigMap: { name: 'off', key: 'n' },
        },
      ],
      proxy: {
        url: 'http://10:3128',
        username: 'no',
        passwordSecret: { name: 'y', key: 'n' },
        noProxy: ['no'],
      },
      pipelines: { no: 'kind: StreamPipeline' },
      podLabels: { ward: 'no' },
    },
    'behind a proxy that looks into TLS': {
      joinToken: { value: 'trib1.abc' },
      proxy: { url: 'http://proxy.example.org:3128/', username: 'site', passwordSecret: { name: 'proxy' } },
      caBundle: { configMap: 'corporate' },
      networkPolicy: { proxy: EVERYWHERE },
    },
    'streams with a broker of its own': {
      broker: { enabled: true, existingSecret: 'mqtt', serviceType: 'NodePort', nodePort: 31_883 },
      pipelines: { beats: 'kind: StreamPipeline\nmetadata: { name: beats }\n' },
      brokers: [{ name: 'ward', url: 'mqtt://broker.ward:1884' }],
      networkPolicy: { publishers: EVERYWHERE },
      persistence: { storageClass: 'local-path' },
    },
    'a replica': {
      mode: 'Serve',
      serving: {
        ...{ enabled: true, port: 9000, grpcPort: 9001, tokenSecret: { name: 'clients' } },
        ...{ decisions: { retentionDays: 7, maximumBytes: 4_294_967_296, inputs: 'None' } },
        ...{ fitsSecret: 'fits', fits: ['fits.json'] },
      },
    },
    'a GPU': { gpu: { enabled: true, count: 2 }, tolerations: [{ operator: 'Exists' }] },
    'as little as possible': {
      networkPolicy: { enabled: false },
      metrics: { serviceMonitor: { enabled: false }, prometheusRule: { enabled: false } },
      tests: { enabled: false },
      serviceAccount: { create: false },
      persistence: { keep: false },
      preStopSeconds: 0,
    },
    'what the chart has already, and nothing where it has something': {
      commonLabels: { ...AGAIN, 'app.kubernetes.io/part-of': 'clinics' },
      podLabels: AGAIN,
      podAnnotations: { 'checksum/config': 'mine', 'checksum/join-token': 'mine' },
      persistence: { annotations: { 'helm.sh/resource-policy': 'mine' }, storageClass: '-' },
      metrics: { serviceMonitor: { labels: AGAIN }, prometheusRule: { labels: AGAIN } },
      // What files hold: the token ends its line, documents begin with an empty one and blanks.
      joinToken: { value: 'trib1.abc\n' },
      policy: { document: `\n  # The policy of the ward.\n${POLICY}\r\n` },
      pipelines: { beats: '    kind: StreamPipeline\n\tx\n' },
      healthHost: '::',
      serving: { enabled: true, tokenSecret: { name: 'clients' }, decisions: null, fits: null },
      broker: { enabled: true, existingSecret: 'mqtt', resources: null, image: { tag: '', digest: DIGEST } },
      proxy: { url: 'http://[2001:db8::1]:3128', noProxy: null },
      gpu: { enabled: true, runtimeClassName: null, tolerations: null },
      networkPolicy: { clients: null, publishers: null, coordinator: null, metrics: null },
      ...{ tables: null, datasets: null, brokers: null, ...TAKEN_AWAY },
    },
    'closed to everybody': {
      networkPolicy: { metrics: [], clients: [], coordinatorPorts: [] },
      tests: { enabled: false },
    },
    'everything that a pod takes': {
      commonLabels: { team: 'edge' },
      nodeSelector: { disk: 'fast' },
      affinity: { podAntiAffinity: {} },
      extraEnv: [{ name: 'TF_CPP_MIN_LOG_LEVEL', value: '3' }],
      user: { id: 1_000_660_000, group: 1_000_660_000 },
      image: { registry: 'mirror.example.org', digest: DIGEST },
      imagePullSecrets: [{ name: 'mirror' }],
      resources: { limits: { memory: '4Gi', cpu: 1.5 } },
    },
  },
};
