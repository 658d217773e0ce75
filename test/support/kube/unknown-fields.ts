import * as client from '@kubernetes/client-node';

import type { Manifest } from './charts.js';
import { CUSTOM_KINDS, type Shape } from './custom-kinds.js';

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}
interface Model {
  getAttributeTypeMap(): readonly Attribute[];
}

const models = client as unknown as Readonly<Record<string, Model | undefined>>;

/** Names of fields that the API does not have, and of values of another type than it takes. */
export function unknownFields(manifest: Manifest): readonly string[] {
  const custom = CUSTOM_KINDS.get(`${manifest.apiVersion}/${manifest.kind}`);
  if (custom !== undefined) return againstShape(manifest, { metadata: '*', ...custom }, manifest.kind);
  const type = modelName(manifest);
  if (models[type] === undefined) return [`${manifest.apiVersion} ${manifest.kind}: not a kind of the API`];
  return against(manifest, type, manifest.kind);
}

/** `apps/v1 Deployment` is V1Deployment; the types carry no group. */
const modelName = ({ apiVersion, kind }: Manifest): string => {
  const version = apiVersion.split('/').at(-1) ?? '';
  return `${version.charAt(0).toUpperCase()}${version.slice(1)}${kind}`;
};

function against(value: unknown, type: string, path: string): readonly string[] {
  if (value === null) return [`${path}: null`];
  const list = /^(?:Array|Set)<(.+)>$/.exec(type)?.[1];
  if (list !== undefined) {
    if (!Array.isArray(value)) return [`${path}: not a list`];
    return value.flatMap((entry, index) => against(entry, list, `${path}[${String(index)}]`));
  }
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
  if (map !== undefined) return againstMap(value, map, path);
  const model = models[type];
  return model === undefined || typeof model.getAttributeTypeMap !== 'function'
    ? againstPlain(value, type, path)
    : againstModel(value, model, path);
}

function againstMap(value: unknown, type: string, path: string): readonly string[] {
  if (typeof value !== 'object') return [`${path}: not a map`];
  return Object.entries(value ?? {}).flatMap(([key, entry]) => against(entry, type, `${path}.${key}`));
}

function againstModel(value: unknown, model: Model, path: string): readonly string[] {
  if (typeof value !== 'object') return [`${path}: not an object`];
  const types = new Map(model.getAttributeTypeMap().map(({ baseName, type }) => [baseName, type]));
  return Object.entries(value ?? {}).flatMap(([key, entry]) => {
    const type = types.get(key);
    return type === undefined ? [`${path}.${key}: unknown field`] : against(entry, type, `${path}.${key}`);
  });
}

function againstPlain(value: unknown, type: string, path: string): readonly string[] {
  if (type === 'any' || type === 'object') return [];
  // The API takes numbers for quantities.
  if (/\.(?:requests|limits)\./.test(path) && typeof value === 'number') return [];
  const wanted = type === 'IntOrString' ? ['string', 'number'] : [type === 'Date' ? 'string' : type];
  return wanted.includes(typeof value) ? [] : [`${path}: ${typeof value} where the API has ${type}`];
}

function againstShape(value: unknown, shape: Shape, path: string): readonly string[] {
  if (typeof shape === 'string')
    return shape === '*' || typeof value === shape ? [] : [`${path}: not a ${shape}`];
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return [`${path}: not a list`];
    const [only = '*'] = shape as readonly Shape[];
    return value.flatMap((entry, index) => againstShape(entry, only, `${path}[${String(index)}]`));
  }
  if (typeof value !== 'object' || value === null) return [`${path}: not an object`];
  const shapes = { apiVersion: 'string', kind: 'string', ...(shape as Readonly<Record<string, Shape>>) };
  return Object.entries(value).flatMap(([key, entry]) => {
    const known = Object.entries(shapes).find(([name]) => name === key)?.[1];
    return known === undefined
      ? [`${path}.${key}: unknown field`]
      : againstShape(entry, known, `${path}.${key}`);
  });
}
