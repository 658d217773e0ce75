import { field, listAt, textAt } from '../kube/field.js';
import type { Keys, PodSources } from './pod-volumes.js';

const text = (value: string | Uint8Array): string =>
  typeof value === 'string' ? value : Buffer.from(value).toString();

/**
 * Variables of a container of a pod, envFrom first, as the kubelet sets them. `fields` answers fieldRef and
 * resourceFieldRef by their path, for example 'metadata.name'.
 */
export function containerEnvironment(
  container: unknown,
  sources: PodSources,
  fields: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const variables: Record<string, string> = {};
  for (const from of listAt(container, 'envFrom')) {
    const prefix = textAt(from, 'prefix');
    for (const kind of ['configMapRef', 'secretRef'] as const) {
      const reference = field(from, kind);
      if (reference === undefined) continue;
      for (const [key, value] of Object.entries(keysOf(kind, reference, sources)))
        variables[prefix + key] = text(value);
    }
  }
  for (const entry of listAt(container, 'env')) {
    const value = valueOf(entry, sources, fields);
    if (value !== undefined) variables[String(field(entry, 'name'))] = expand(value, variables);
  }
  return variables;
}

/** `$(NAME)` in arguments and values; what is unknown stays, `$$` is a dollar. */
export const expand = (value: string, variables: Readonly<Record<string, string>>): string =>
  value.replaceAll(/\$(?:\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))/g, (whole, name: string | undefined) =>
    name === undefined ? '$' : (variables[name] ?? whole),
  );

function keysOf(kind: string, reference: unknown, { configMaps, secrets }: PodSources): Keys {
  const name = String(field(reference, 'name'));
  const found = (kind.startsWith('secret') ? secrets : configMaps)?.[name];
  if (found !== undefined) return found;
  if (field(reference, 'optional') === true) return {};
  throw new Error(`${kind.startsWith('secret') ? 'secret' : 'configmap'} "${name}" not found`);
}

function valueOf(
  entry: unknown,
  sources: PodSources,
  fields: Readonly<Record<string, string>>,
): string | undefined {
  const from = field(entry, 'valueFrom');
  if (from === undefined) return textAt(entry, 'value');
  for (const kind of ['configMapKeyRef', 'secretKeyRef'] as const) {
    const reference = field(from, kind);
    if (reference === undefined) continue;
    const key = String(field(reference, 'key'));
    const value = keysOf(kind, reference, sources)[key];
    if (value !== undefined) return text(value);
    if (field(reference, 'optional') === true) return undefined;
    throw new Error(`couldn't find key ${key} in "${String(field(reference, 'name'))}"`);
  }
  const path = String(field(from, 'fieldRef', 'fieldPath') ?? field(from, 'resourceFieldRef', 'resource'));
  const value = fields[path];
  if (value === undefined) throw new Error(`nothing is known of ${path}`);
  return value;
}
