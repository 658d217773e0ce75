import { join } from 'node:path';

import { field, listAt, textAt } from '../kube/field.js';
import { expand } from './pod-environment.js';
import type { PodVolumes } from './pod-volumes.js';
import type { Mount, RuntimeSpec } from './runtime-spec.js';
import type { ImageConfig } from './layout.js';

/** 'host', or the path of a network namespace. */
export type Network = 'host' | { readonly namespace: string };

export interface PodContainer {
  readonly id: string;
  /** A PodSpec, as rendered. */
  readonly pod: unknown;
  /** Name of one of its containers or initContainers. */
  readonly container: string;
  readonly image: ImageConfig;
  readonly rootfs: string;
  readonly volumes: PodVolumes;
  readonly variables: Readonly<Record<string, string>>;
  readonly network: Network;
  /** Files of this machine by their path in the container, read-only: /etc/hosts, say. */
  readonly files: Readonly<Record<string, string>>;
}

/** The container of that name in a PodSpec. */
export function containerOf(pod: unknown, name: string): unknown {
  const found = [...listAt(pod, 'initContainers'), ...listAt(pod, 'containers')].find(
    (container) => field(container, 'name') === name,
  );
  if (found === undefined) throw new Error(`the pod has no container "${name}"`);
  return found;
}

/**
 * The runtime specification of one container of a pod, from containerd's own default: user, groups, capabilities, privilege
 * escalation, read-only root, seccomp, limits, mounts and variables as the PodSpec says. Throws where the pod asks for
 * what this does not know, rather than run it with less.
 */
export function podRuntimeSpec(base: RuntimeSpec, options: PodContainer): RuntimeSpec {
  const { id, pod, image, rootfs, variables, network } = options;
  const container = containerOf(pod, options.container);
  const security = securityOf(pod, container);
  const { seccomp, ...linux } = base.linux;
  const namespaces = base.linux.namespaces.filter(({ type }) => type !== 'network');
  return {
    ...base,
    process: {
      ...base.process,
      user: { uid: security.uid, gid: security.gid, additionalGids: security.groups },
      args: commandOf(container, image, variables),
      env: environmentOf(image, variables, id),
      cwd: textAt(container, 'workingDir') || (image.config.WorkingDir ?? '/'),
      noNewPrivileges: security.noNewPrivileges,
      capabilities: security.capabilities(base.process.capabilities),
    },
    root: { path: rootfs, readonly: security.readOnlyRoot },
    hostname: id,
    mounts: [
      ...base.mounts.filter(({ destination }) => destination !== '/run'),
      ...mountsOf(container, options),
    ],
    linux: {
      ...linux,
      ...(security.confined && { seccomp }),
      cgroupsPath: `/tributary-tests/${id}`,
      resources: { ...(field(linux, 'resources') as object | undefined), ...limitsOf(container) },
      namespaces:
        network === 'host' ? namespaces : [...namespaces, { type: 'network', path: network.namespace }],
    },
  };
}

interface Security {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly noNewPrivileges: boolean;
  readonly readOnlyRoot: boolean;
  /** The default seccomp profile holds. */
  readonly confined: boolean;
  readonly capabilities: (
    defaults: Readonly<Record<string, readonly string[]>>,
  ) => Readonly<Record<string, readonly string[]>>;
}

function securityOf(pod: unknown, container: unknown): Security {
  // A container's own setting wins over the pod's.
  const setting = (name: string): unknown =>
    field(container, 'securityContext', name) ?? field(pod, 'securityContext', name);
  const uid = Number(setting('runAsUser') ?? 0);
  if (setting('runAsNonRoot') === true && uid === 0)
    throw new Error('container has runAsNonRoot and image will run as root');
  if (setting('privileged') === true) throw new Error('privileged containers are not run here');
  const profile = field(setting('seccompProfile'), 'type') ?? 'Unconfined';
  if (profile !== 'RuntimeDefault' && profile !== 'Unconfined')
    throw new Error(`no seccomp profile ${JSON.stringify(profile)} here`);
  const group = field(pod, 'securityContext', 'fsGroup');
  const more = listAt(pod, 'securityContext', 'supplementalGroups').map(Number);
  const dropped = listAt(setting('capabilities'), 'drop').map(String);
  const added = listAt(setting('capabilities'), 'add').map((name) => `CAP_${String(name)}`);
  return {
    uid,
    gid: Number(setting('runAsGroup') ?? 0),
    groups: group === undefined ? more : [Number(group), ...more],
    noNewPrivileges: setting('allowPrivilegeEscalation') === false,
    readOnlyRoot: setting('readOnlyRootFilesystem') === true,
    confined: profile === 'RuntimeDefault',
    capabilities: (defaults) =>
      Object.fromEntries(
        Object.entries(defaults).map(([set, names]) => {
          const kept = names.filter((name) => !dropped.includes('ALL') && !dropped.includes(name.slice(4)));
          return [set, [...new Set([...kept, ...added])]];
        }),
      ),
  };
}

function commandOf(
  container: unknown,
  { config }: ImageConfig,
  variables: Readonly<Record<string, string>>,
): readonly string[] {
  const command = field(container, 'command') === undefined ? undefined : listAt(container, 'command');
  const args = field(container, 'args') === undefined ? undefined : listAt(container, 'args');
  const program = command ?? config.Entrypoint;
  const rest = args ?? (command === undefined ? config.Cmd : []);
  return [...program, ...rest].map((word) => expand(String(word), variables));
}

function environmentOf(
  { config }: ImageConfig,
  variables: Readonly<Record<string, string>>,
  hostname: string,
): readonly string[] {
  const all = new Map(config.Env.map((entry) => [entry.split('=', 1)[0] ?? '', entry]));
  for (const [name, value] of Object.entries({ HOSTNAME: hostname, ...variables }))
    all.set(name, `${name}=${value}`);
  return [...all.values()];
}

function mountsOf(container: unknown, { volumes, files }: PodContainer): readonly Mount[] {
  const bind = (destination: string, source: string, readOnly: boolean): Mount => ({
    destination,
    type: 'bind',
    source,
    options: ['rbind', 'rprivate', readOnly ? 'ro' : 'rw'],
  });
  const mounted = listAt(container, 'volumeMounts').map((mount) => {
    const name = String(field(mount, 'name'));
    const volume = volumes[name];
    if (volume === undefined) throw new Error(`the pod has no volume "${name}"`);
    const source = join(volume, textAt(mount, 'subPath'));
    return bind(String(field(mount, 'mountPath')), source, field(mount, 'readOnly') === true);
  });
  return [...mounted, ...Object.entries(files).map(([path, source]) => bind(path, source, true))];
}

const FACTORS: Readonly<Record<string, number>> = {
  ...{ '': 1, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 },
};

/** A quantity of Kubernetes as a number. */
function quantity(value: unknown): number {
  const [, digits = '', unit = ''] = /^([0-9.]+)([a-zA-Z]*)$/.exec(String(value)) ?? [];
  const factor = FACTORS[unit];
  if (digits === '' || factor === undefined) throw new Error(`${String(value)} is not a quantity`);
  return Number(digits) * factor;
}

/** Memory as a limit, processors as a share. What a device plugin would add is not there to be had. */
function limitsOf(container: unknown): object {
  const limit = field(container, 'resources', 'limits', 'memory');
  const share = field(container, 'resources', 'requests', 'cpu');
  return {
    ...(limit !== undefined && { memory: { limit: Math.floor(quantity(limit)) } }),
    ...(share !== undefined && { cpu: { shares: Math.max(2, Math.floor(quantity(share) * 1024)) } }),
  };
}
