import type { Kind, Kinds } from './kinds.js';

/** An address of objects: all of a kind, those of a namespace, or one and what lies below it. */
export interface Route {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** Reads `/api/v1/namespaces/x/pods/y/log` and `/apis/apps/v1/...`; undefined where it names nothing of the API. */
export function routeOf(kinds: Kinds, path: string): Route | undefined {
  const [root, ...steps] = path
    .split('/')
    .filter((step) => step !== '')
    .map(decodeURIComponent);
  const [group, version, rest] =
    root === 'api' ? ['', steps[0], steps.slice(1)] : [steps[0], steps[1], steps.slice(2)];
  if ((root !== 'api' && root !== 'apis') || group === undefined || version === undefined) return undefined;
  const [namespace, below] = isWithinNamespace(rest) ? [rest[1], rest.slice(2)] : [undefined, rest];
  const [plural = '', name, subresource] = below;
  const kind = kinds.find(group, version, plural);
  if (kind === undefined || below.length > 3) return undefined;
  return { kind, namespace, name, subresource };
}

/** `namespaces/x` alone, or with a subresource of its own, is a namespace. */
const isWithinNamespace = ([first, , third]: readonly string[]): boolean =>
  first === 'namespaces' && third !== undefined && !['status', 'finalize'].includes(third);
