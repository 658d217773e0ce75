import { join } from 'node:path';

import { field, listAt, textAt } from '../../kube/field.js';
import type { Api } from '../api.js';
import type { KubeObject } from '../objects.js';
import type { ContainerSpec, Mount } from './runtime.js';
import { contentsOf, NotReady } from './volumes.js';

export interface SpecSources {
  readonly api: Api;
  readonly pod: KubeObject;
  /** Folders of the pod's volumes by name. */
  readonly volumes: ReadonlyMap<string, string>;
  readonly podIp: string;
  readonly folder: string;
  readonly attempt: number;
  /** Variables that every container gets: where the API is. */
  readonly ambient: Readonly<Record<string, string>>;
}

/** What a container of a pod asks for, resolved. Throws NotReady where a ConfigMap or Secret is missing. */
export function containerSpec(sources: SpecSources, container: unknown): ContainerSpec {
  const { pod, attempt, folder } = sources;
  const name = String(field(container, 'name'));
  const security = (...path: readonly string[]): unknown =>
    field(container, 'securityContext', ...path) ?? field(pod, 'spec', 'securityContext', ...path);
  const environment = environmentOf(sources, container);
  return {
    id: `${pod.metadata.uid ?? ''}-${name}-${String(attempt)}`,
    name,
    image: String(field(container, 'image')),
    command: wordsOf(container, 'command', environment),
    args: wordsOf(container, 'args', environment),
    environment,
    mounts: listAt(container, 'volumeMounts').map((mount) => mountOf(sources, mount)),
    user: Number(security('runAsUser') ?? 0),
    group: Number(security('runAsGroup') ?? 0),
    extraGroups: [field(pod, 'spec', 'securityContext', 'fsGroup')].flatMap((group) =>
      typeof group === 'number' ? [group] : [],
    ),
    readOnlyRoot: field(container, 'securityContext', 'readOnlyRootFilesystem') === true,
    noNewPrivileges: field(container, 'securityContext', 'allowPrivilegeEscalation') === false,
    dropsCapabilities: listAt(container, 'securityContext', 'capabilities', 'drop').includes('ALL'),
    memoryBytes: bytesOf(field(container, 'resources', 'limits', 'memory')),
    logFile: join(folder, `${name}.log`),
  };
}

/** Command or arguments with `$(NAME)` filled in; `$$(` stands for `$(`. */
function wordsOf(
  container: unknown,
  part: 'command' | 'args',
  environment: Readonly<Record<string, string>>,
): readonly string[] | undefined {
  if (field(container, part) === undefined) return undefined;
  return listAt(container, part).map((word) =>
    String(word).replaceAll(
      /(\$?)\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g,
      (whole, escape: string, name: string) =>
        escape === '' ? (environment[name] ?? whole) : whole.slice(1),
    ),
  );
}

function mountOf({ volumes }: SpecSources, mount: unknown): Mount {
  const folder = volumes.get(String(field(mount, 'name')));
  if (folder === undefined) throw new NotReady(`no volume ${String(field(mount, 'name'))}`);
  return {
    source: join(folder, textAt(mount, 'subPath')),
    destination: String(field(mount, 'mountPath')),
    readOnly: field(mount, 'readOnly') === true,
  };
}

function environmentOf(sources: SpecSources, container: unknown): Record<string, string> {
  const environment: Record<string, string> = { ...sources.ambient };
  for (const source of listAt(container, 'envFrom')) {
    const prefix = textAt(source, 'prefix');
    for (const kind of ['configMap', 'secret'] as const) {
      const name = field(source, `${kind}Ref`, 'name');
      if (typeof name !== 'string') continue;
      const isOptional = field(source, `${kind}Ref`, 'optional') === true;
      for (const [key, value] of contentsAt(sources, kind, name, isOptional))
        environment[prefix + key] = value.toString('utf8');
    }
  }
  for (const variable of listAt(container, 'env')) {
    const value = variableOf(sources, variable);
    if (value !== undefined) environment[String(field(variable, 'name'))] = value;
  }
  return environment;
}

function contentsAt(
  { api, pod }: SpecSources,
  kind: 'configMap' | 'secret',
  name: string,
  isOptional: boolean,
): ReadonlyMap<string, Buffer> {
  const object = api.store.get(
    api.kinds.named(kind === 'secret' ? 'Secret' : 'ConfigMap'),
    pod.metadata.namespace,
    name,
  );
  if (object !== undefined) return contentsOf(object);
  if (isOptional) return new Map();
  throw new NotReady(`${kind.toLowerCase()} "${name}" not found`);
}

function variableOf(sources: SpecSources, variable: unknown): string | undefined {
  const from = field(variable, 'valueFrom');
  if (from === undefined) return textAt(variable, 'value');
  const path = field(from, 'fieldRef', 'fieldPath');
  if (path === 'status.podIP') return sources.podIp;
  if (typeof path === 'string') return textAt(sources.pod, ...path.split('.'));
  const kind = field(from, 'secretKeyRef') === undefined ? 'configMap' : 'secret';
  const reference = field(from, `${kind}KeyRef`);
  const isOptional = field(reference, 'optional') === true;
  const key = String(field(reference, 'key'));
  const found = contentsAt(sources, kind, String(field(reference, 'name')), isOptional).get(key);
  if (found === undefined && !isOptional) throw new NotReady(`couldn't find key ${key}`);
  return found?.toString('utf8');
}

const UNITS: Readonly<Record<string, number>> = {
  ...{ '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 },
};

/** Bytes of a quantity such as `512Mi`; undefined where there is none. */
function bytesOf(quantity: unknown): number | undefined {
  const [, number, unit = ''] = /^([0-9.]+)([kMGT]i?|Ki)?$/.exec(String(quantity)) ?? [];
  return number === undefined ? undefined : Number(number) * (UNITS[unit] ?? 1);
}
