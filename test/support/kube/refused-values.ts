import type { ChartName, Values } from './charts.js';

const hub = (values: Values): Values => ({ federation: { host: 'hub' }, ...values });
const serving = (values: Values): Values => ({
  serving: { enabled: true, tokenSecret: { name: 'x' }, ...values },
});

const env = (...names: readonly string[]): Values => ({
  extraEnv: names.map((name) => ({ name, value: '1' })),
});
const tables = (...paths: readonly string[]): Values => ({
  tables: paths.map((mountPath, index) => ({ claim: `c${String(index)}`, mountPath })),
});

/** Of both charts. */
const CONTRADICTED: readonly (readonly [Values, RegExp])[] = [
  [env('A', 'A'), /extraEnv\[0\]\.name and extraEnv\[1\]\.name: both are/],
  [{ podLabels: { team: 'a b' } }, /podLabels.team/],
  [{ nodeSelector: { 'a//b': 'x' } }, /a..b/],
  [{ persistence: { storageClass: 'Fast' } }, /persistence.storageClass/],
  [{ persistence: { size: null } }, /size/],
];

/** Values that are refused, and what both generations say of them. */
export const REFUSED: readonly (readonly [ChartName, Values, RegExp])[] = [
  ['tributary-coordinator', {}, /federation\.host/],
  ['tributary-coordinator', { federation: { host: 'hub', nmae: 'x' } }, /nmae/],
  ['tributary-coordinator', { federation: { host: 'hub', name: 'Upper' } }, /federation.name/],
  ['tributary-coordinator', { federation: { host: 'hub' }, replicas: 2 }, /replicas/],
  ['tributary-coordinator', { federation: { host: 'hub' }, user: { id: 0 } }, /user.id/],
  ['tributary-coordinator', { federation: { host: 'hub' }, securityContext: {} }, /securityContext/],
  ['tributary-coordinator', { federation: { host: 'hub' }, traefik: { enabled: true } }, /advertise\.fleet/],
  [
    'tributary-coordinator',
    { federation: { host: 'hub' }, advertise: { fleet: 'https://x' } },
    /advertise.fleet/,
  ],
  [
    'tributary-coordinator',
    { federation: { host: 'hub' }, terminationGracePeriodSeconds: 5 },
    /terminationGrace/,
  ],
  ['tributary-agent', { image: { tga: 'x' } }, /tga/],
  ['tributary-agent', { mode: 'Both' }, /mode/],
  ['tributary-agent', { joinToken: { value: 'abc' } }, /joinToken.value/],
  ['tributary-agent', { joinToken: { value: 'trib1.abc', existingSecret: 'x' } }, /joinToken: give value or/],
  ['tributary-agent', { policy: { document: 'x', existingConfigMap: 'x' } }, /policy: give document or/],
  ['tributary-agent', { serving: { enabled: true } }, /serving\.tokenSecret\.name/],
  ['tributary-agent', { broker: { enabled: true } }, /broker\.existingSecret/],
  ['tributary-agent', { brokers: [{ name: 'x', url: 'mqtt://user:password@b' }] }, /brokers.0.url/],
  ['tributary-agent', { proxy: { url: 'http://user:password@proxy' } }, /proxy.url/],
  ['tributary-agent', { datasets: [{ name: 'x', format: 'Xls' }] }, /datasets.0.format/],
  ['tributary-agent', { tables: [{ hostPath: '/x', mountPath: '/x' }] }, /hostPath/],
  ['tributary-agent', { networkPolicy: { coordinator: [{}] } }, /networkPolicy.coordinator.0/],
  ['tributary-agent', { podLabels: { 'app.kubernetes.io/name': 'x' } }, /podLabels/],
  ['tributary-agent', { commonLabels: { 'app.kubernetes.io/component': 'x' } }, /commonLabels/],
  ['tributary-agent', { brokers: [{ name: 'b'.repeat(57), url: 'mqtt://b' }] }, /brokers.0.name/],
  ['tributary-agent', serving({ port: 7446 }), /serving\.port and the port of probes/],
  ['tributary-agent', serving({ grpcPort: 8080 }), /serving\.grpcPort and serving\.port/],
  [
    'tributary-agent',
    { broker: { enabled: true, existingSecret: 'x' }, brokers: [{ name: 'site', url: 'mqtt://b' }] },
    /broker\.enabled and brokers\[0\]\.name/,
  ],
  ['tributary-agent', { serving: { fits: ['fits.json'] } }, /serving\.fitsSecret/],
  [
    'tributary-agent',
    { gpu: { enabled: true }, image: { repository: 'x', digest: `sha256:${'0'.repeat(64)}` } },
    /gpu\.tagSuffix/,
  ],
  ['tributary-agent', { terminationGracePeriodSeconds: 30, preStopSeconds: 20 }, /preStopSeconds/],
  ['tributary-coordinator', hub({ terminationGracePeriodSeconds: 30, preStopSeconds: 20 }), /preStopSeconds/],
  [
    'tributary-coordinator',
    hub({ service: { ports: { fleet: 443, admin: 443 } } }),
    /service\.ports\.admin and service\.ports\.fleet/,
  ],
  [
    'tributary-coordinator',
    hub({ tunnel: { enabled: true, port: 7443 } }),
    /service\.ports\.fleet and tunnel\.port/,
  ],
  [
    'tributary-coordinator',
    hub({ traefik: { enabled: true }, advertise: { fleet: 'x.org:443', enrol: 'x.org:443' } }),
    /advertise\.enrol and advertise\.fleet/,
  ],
  [
    'tributary-coordinator',
    hub({ traefik: { enabled: true }, advertise: { fleet: '192.0.2.7:443', enrol: 'x.org:443' } }),
    /advertise\.fleet: Traefik .*server name/,
  ],
  ...(['tributary-agent', 'tributary-coordinator'] as const).flatMap((chart) =>
    CONTRADICTED.map(
      ([values, words]) => [chart, chart === 'tributary-agent' ? values : hub(values), words] as const,
    ),
  ),
  [
    'tributary-agent',
    env('TRIBUTARY_AGENT_CONFIG'),
    /extraEnv\[0\]\.name and the chart's TRIBUTARY_AGENT_CONFIG/,
  ],
  ['tributary-coordinator', hub(env('TRIBUTARY_DATA')), /extraEnv\[0\]\.name and the chart's TRIBUTARY_DATA/],
  [
    'tributary-agent',
    tables('/a/b', '/a/./b/'),
    /tables\[0\]\.mountPath and tables\[1\]\.mountPath: both are/,
  ],
  [
    'tributary-agent',
    tables('/a', '/tmp/../etc/tributary/seal'),
    /tables\[1\]\.mountPath: \/etc\/tributary\/seal is the agent's own/,
  ],
  ['tributary-agent', tables('//'), /tables\[0\]\.mountPath: \/ is the agent's own/],
  [
    'tributary-agent',
    { broker: { enabled: true, existingSecret: 'x', image: { tag: '' } } },
    /broker\.image: needs tag or digest/,
  ],
  ['tributary-agent', { coordinator: { tunnel: 'hub:70000' } }, /coordinator.tunnel/],
  ['tributary-agent', { brokers: [{ name: 'b', url: 'mqtt://b:0' }] }, /brokers.0.url/],
  ['tributary-agent', { joinToken: { key: 'a b' } }, /joinToken.key/],
  // Taken away, and nothing goes without it.
  ['tributary-agent', { joinToken: null }, /joinToken/],
  ['tributary-agent', { networkPolicy: { dns: null } }, /dns/],
  ['tributary-coordinator', hub({ service: { ports: { enrol: null } } }), /enrol/],
  // The certificate is for these hosts: the coordinator would not start with what is none.
  ['tributary-coordinator', hub({ advertise: { tunnel: 'a_b.example.org:443' } }), /advertise.tunnel/],
  ['tributary-coordinator', { federation: { host: 'hub.example.org:7443' } }, /federation.host/],
  ['tributary-coordinator', { federation: { host: 'hub', additionalHosts: ['*.org'] } }, /additionalHosts.0/],
];
