import type { Manifest } from './charts.js';
import { field, listAt } from './field.js';

/**
 * Pod Security Standards, profile "restricted" with what it inherits from "baseline" (kubernetes.io/docs/concepts/security/
 * pod-security-standards), written from the standard's own table: one rule, one control.
 */
const VOLUME_TYPES = new Set([
  ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral'],
  ...['persistentVolumeClaim', 'projected', 'secret'],
]);
const SECCOMP = new Set<unknown>(['RuntimeDefault', 'Localhost']);
const SELINUX_TYPES = new Set<unknown>([undefined, '', 'container_t', 'container_init_t', 'container_kvm_t']);
const SAFE_SYSCTLS = new Set<unknown>([
  ...['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.ip_unprivileged_port_start'],
  ...['net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range', 'net.ipv4.ip_local_reserved_ports'],
  ...['net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl'],
  'net.ipv4.tcp_keepalive_probes',
]);

type Rule = (pod: unknown) => readonly string[];
interface Container {
  readonly name: string;
  readonly spec: unknown;
}

function containersOf(pod: unknown): readonly Container[] {
  return ['initContainers', 'containers', 'ephemeralContainers'].flatMap((kind) =>
    listAt(pod, kind).map((spec) => ({ name: `${kind}/${String(field(spec, 'name'))}`, spec })),
  );
}

/** A rule for each container, which says what is wrong with it. */
const each =
  (rule: (container: unknown, pod: unknown) => string | undefined): Rule =>
  (pod) =>
    containersOf(pod).flatMap(({ name, spec }) => {
      const fault = rule(spec, pod);
      return fault === undefined ? [] : [`${name}: ${fault}`];
    });

/** The value that counts: the container's, else the pod's. */
const security = (container: unknown, pod: unknown, ...path: readonly string[]): unknown =>
  field(container, 'securityContext', ...path) ?? field(pod, 'securityContext', ...path);

const RULES: readonly Rule[] = [
  (pod) =>
    ['hostNetwork', 'hostPID', 'hostIPC']
      .filter((name) => field(pod, name) === true)
      .map((name) => `${name} is on`),
  (pod) =>
    field(pod, 'securityContext', 'windowsOptions', 'hostProcess') === true ? ['a Windows HostProcess'] : [],
  (pod) =>
    listAt(pod, 'volumes').flatMap((volume) => {
      const types = Object.keys(volume as object).filter((name) => name !== 'name');
      return types
        .filter((type) => !VOLUME_TYPES.has(type))
        .map((type) => `volume ${String(field(volume, 'name'))}: ${type}`);
    }),
  (pod) =>
    listAt(pod, 'securityContext', 'sysctls')
      .filter((sysctl) => !SAFE_SYSCTLS.has(field(sysctl, 'name')))
      .map((sysctl) => `sysctl ${String(field(sysctl, 'name'))}`),
  each((container) =>
    field(container, 'securityContext', 'privileged') === true ? 'privileged' : undefined,
  ),
  each((container) =>
    field(container, 'securityContext', 'allowPrivilegeEscalation') === false
      ? undefined
      : 'allowPrivilegeEscalation is not false',
  ),
  each((container) =>
    listAt(container, 'securityContext', 'capabilities', 'drop').includes('ALL')
      ? undefined
      : 'capabilities are not all dropped',
  ),
  each((container) =>
    listAt(container, 'securityContext', 'capabilities', 'add').some((name) => name !== 'NET_BIND_SERVICE')
      ? 'capabilities are added'
      : undefined,
  ),
  each((container, pod) =>
    security(container, pod, 'runAsNonRoot') === true ? undefined : 'runAsNonRoot is not true',
  ),
  each((container, pod) => (security(container, pod, 'runAsUser') === 0 ? 'runAsUser is 0' : undefined)),
  each((container, pod) =>
    SECCOMP.has(security(container, pod, 'seccompProfile', 'type')) ? undefined : 'no seccomp profile',
  ),
  each((container, pod) =>
    SELINUX_TYPES.has(security(container, pod, 'seLinuxOptions', 'type')) &&
    [undefined, ''].includes(security(container, pod, 'seLinuxOptions', 'user') as undefined) &&
    [undefined, ''].includes(security(container, pod, 'seLinuxOptions', 'role') as undefined)
      ? undefined
      : 'SELinux options',
  ),
  each((container, pod) =>
    [undefined, 'RuntimeDefault', 'Localhost'].includes(
      security(container, pod, 'appArmorProfile', 'type') as undefined,
    )
      ? undefined
      : 'AppArmor is off',
  ),
  each((container) =>
    [undefined, 'Default'].includes(field(container, 'securityContext', 'procMount') as undefined)
      ? undefined
      : 'procMount',
  ),
  each((container) =>
    listAt(container, 'ports').some((port) => Number(field(port, 'hostPort') ?? 0) !== 0)
      ? 'a host port'
      : undefined,
  ),
  each((container) => {
    const actions = ['livenessProbe', 'readinessProbe', 'startupProbe', 'postStart', 'preStop'].map((name) =>
      name.endsWith('Probe') ? field(container, name) : field(container, 'lifecycle', name),
    );
    const hosts = actions.flatMap((action) =>
      ['httpGet', 'tcpSocket'].map((way) => field(action, way, 'host')).filter((host) => host !== undefined),
    );
    return hosts.some((host) => host !== '') ? 'a probe of another host' : undefined;
  }),
];

/** The pod that a manifest makes, or undefined where it makes none. */
export function podOf(manifest: Manifest): unknown {
  if (manifest.kind === 'Pod') return manifest['spec'];
  return (
    field(manifest, 'spec', 'template', 'spec') ??
    field(manifest, 'spec', 'jobTemplate', 'spec', 'template', 'spec')
  );
}

/** What the profile "restricted" forbids in a pod; empty where it may run. */
export const restrictedFaults = (pod: unknown): readonly string[] => RULES.flatMap((rule) => rule(pod));
