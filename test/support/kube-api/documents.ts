import { ApiError } from './api-error.js';
import { aggregated, CORE_VERSIONS, groupList, oneGroup, resourceList } from './discovery.js';
import type { Kinds } from './kinds.js';
import type { Fields } from './objects.js';
import { openApi, openApiIndex, swagger } from './openapi.js';

/** A document, and its type where that is not plain JSON. */
type Document = readonly [unknown, string?];

export interface DocumentSources {
  readonly api: { readonly kinds: Kinds };
  readonly version: string;
}

/** What the API says of itself at a path: kinds, schemas, version, health; undefined where that is no such path. */
export function documentAt(sources: DocumentSources, path: string, accept: string): Document | undefined {
  const { kinds } = sources.api;
  const [root = '', ...steps] = path.split('/').filter((step) => step !== '');
  switch (root) {
    case 'api':
      return coreDocument(kinds, steps, accept);
    case 'apis':
      return groupDocument(kinds, steps, accept);
    case 'openapi':
      return schemaDocument(kinds, steps, accept);
    case 'version':
      return [versionInfo(sources.version)];
    case 'healthz':
    case 'readyz':
    case 'livez':
      return ['ok'];
    default:
      return undefined;
  }
}

/** The aggregated form, where it is asked for. */
function aggregatedDocument(kinds: Kinds, accept: string, isCore: boolean): Document | undefined {
  const version = /g=apidiscovery\.k8s\.io;v=(v2(?:beta1)?);as=APIGroupDiscoveryList/.exec(accept)?.[1];
  if (version === undefined) return undefined;
  const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
  return [aggregated(kinds, version, isCore), type];
}

function coreDocument(kinds: Kinds, steps: readonly string[], accept: string): Document | undefined {
  if (steps.length === 0) return aggregatedDocument(kinds, accept, true) ?? [CORE_VERSIONS];
  return steps.length === 1 && steps[0] === 'v1' ? [resourceList(kinds, '', 'v1')] : undefined;
}

function groupDocument(kinds: Kinds, steps: readonly string[], accept: string): Document | undefined {
  const [group, version] = steps;
  if (group === undefined) return aggregatedDocument(kinds, accept, false) ?? [groupList(kinds)];
  if (version === undefined) {
    const found = oneGroup(kinds, group);
    return found && [found];
  }
  const isList = steps.length === 2 && kinds.in(group, version).length > 0;
  return isList ? [resourceList(kinds, group, version)] : undefined;
}

/** OpenAPI 2 as JSON, the index of OpenAPI 3, or one of its documents: `v3/api/v1`, `v3/apis/apps/v1`. */
function schemaDocument(kinds: Kinds, steps: readonly string[], accept: string): Document | undefined {
  const [generation, root, ...rest] = steps;
  if (generation === 'v2') {
    if (!/json|\*\/\*/.test(accept)) throw new ApiError('NotAcceptable', 'OpenAPI v2 as JSON only');
    return [swagger(kinds)];
  }
  if (generation !== 'v3') return undefined;
  if (root === undefined) return [openApiIndex(kinds)];
  const [group = '', version = ''] = root === 'api' ? ['', ...rest] : rest;
  return kinds.in(group, version).length === 0 ? undefined : [openApi(kinds, group, version)];
}

function versionInfo(version: string): Fields {
  const [major, minor] = version.split('.');
  return {
    ...{ major, minor, gitVersion: `v${version}`, gitCommit: 'emulator', gitTreeState: 'clean' },
    ...{ buildDate: '2024-01-01T00:00:00Z', goVersion: '', compiler: '', platform: 'linux/amd64' },
  };
}
