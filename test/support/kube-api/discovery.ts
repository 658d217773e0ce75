import { apiVersionOf, type Kind, type Kinds } from './kinds.js';
import type { Fields } from './objects.js';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const STATUS_VERBS = ['get', 'patch', 'update'];

const subresourcesOf = (kind: Kind): readonly (readonly [string, readonly string[]])[] =>
  kind.subresources.map((name) => [
    name,
    name === 'log' ? ['get'] : name === 'exec' ? ['create', 'get'] : STATUS_VERBS,
  ]);

/** APIResourceList of a group and version. */
export function resourceList(kinds: Kinds, group: string, version: string): Fields {
  const resources = kinds.in(group, version).flatMap((kind): Fields[] => {
    const common = { namespaced: kind.namespaced, kind: kind.kind, singularName: kind.kind.toLowerCase() };
    const { shortNames, categories } = kind;
    return [
      { ...common, name: kind.plural, verbs: VERBS, shortNames, categories, storageVersionHash: 'emulator' },
      ...subresourcesOf(kind).map(([name, verbs]) => ({
        ...common,
        singularName: '',
        name: `${kind.plural}/${name}`,
        verbs,
      })),
    ];
  });
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf({ group, version }),
    resources,
  };
}

/** APIGroupList, without the core group. */
export function groupList(kinds: Kinds): Fields {
  const groups = kinds
    .groups()
    .filter(([group]) => group !== '')
    .map(([group, versions]) => groupOf(group, versions));
  return { kind: 'APIGroupList', apiVersion: 'v1', groups };
}

function groupOf(group: string, names: readonly string[]): Fields {
  const versions = names.map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions, preferredVersion: versions[0] };
}

/** APIGroup by name; undefined where there is none. */
export function oneGroup(kinds: Kinds, group: string): Fields | undefined {
  const found = kinds.groups().find(([name]) => name === group && name !== '');
  return found && { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(...found) };
}

export const CORE_VERSIONS: Fields = {
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [],
};

/** APIGroupDiscoveryList (apidiscovery.k8s.io/v2), of the core group or of the others. */
export function aggregated(kinds: Kinds, version: string, isCore: boolean): Fields {
  const items = kinds
    .groups()
    .filter(([group]) => (group === '') === isCore)
    .map(([group, versions]) => ({
      metadata: group === '' ? {} : { name: group },
      versions: versions.map((name) => ({
        version: name,
        freshness: 'Current',
        resources: kinds.in(group, name).map(discovered),
      })),
    }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items };
}

function discovered(kind: Kind): Fields {
  const responseKind = { group: kind.group, version: kind.version, kind: kind.kind };
  return {
    resource: kind.plural,
    responseKind,
    scope: kind.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.kind.toLowerCase(),
    verbs: VERBS,
    shortNames: kind.shortNames,
    categories: kind.categories,
    subresources: subresourcesOf(kind).map(([subresource, verbs]) => ({ subresource, responseKind, verbs })),
  };
}
