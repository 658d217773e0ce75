import { apiVersionOf, type Kind, type Kinds } from './kinds.js';
import { attributesOf, entryType, isAtomicType, listMerge, modelOf } from './model.js';
import type { Fields } from './objects.js';

const PREFIX = 'io.tributary.emulator.';
const REF = `#/components/schemas/${PREFIX}`;
const PATCHES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

/** Schemas by name, made from the attribute maps of the API's own client: types, lists, merge keys; no descriptions. */
class Schemas {
  readonly #schemas = new Map<string, Fields>();

  /** Adds the schema of a kind. */
  addKind(kind: Kind): void {
    const type = modelOf(kind);
    const { group, version } = kind;
    const named = { 'x-kubernetes-group-version-kind': [{ group, version, kind: kind.kind }] };
    const schema = type === '*' ? this.#custom() : this.#model(type);
    this.#schemas.set(nameOf(kind), { ...schema, ...named });
  }

  all(): Fields {
    return Object.fromEntries([...this.#schemas].map(([name, schema]) => [PREFIX + name, schema]));
  }

  #custom(): Fields {
    const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    const text = { type: 'string' };
    return {
      type: 'object',
      properties: {
        apiVersion: text,
        kind: text,
        metadata: this.#schemaOf('V1ObjectMeta'),
        spec: open,
        status: open,
      },
    };
  }

  #model(type: string): Fields {
    const properties = [...(attributesOf(type) ?? [])].map(([name, of]) => [
      name,
      { ...this.#schemaOf(of), ...mergeWords(type, name) },
    ]);
    return { type: 'object', properties: Object.fromEntries(properties) as Fields };
  }

  #schemaOf(type: string): Fields {
    const entry = entryType(type);
    if (entry !== undefined) return { type: 'array', items: this.#schemaOf(entry) };
    const value = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
    if (value !== undefined) return { type: 'object', additionalProperties: this.#schemaOf(value) };
    if (attributesOf(type) === undefined) return plain(type);
    if (!this.#schemas.has(type)) {
      this.#schemas.set(type, {});
      const atomic = isAtomicType(type) ? { 'x-kubernetes-map-type': 'atomic' } : {};
      this.#schemas.set(type, { ...this.#model(type), ...atomic });
    }
    return { allOf: [{ $ref: REF + type }], default: {} };
  }
}

function plain(type: string): Fields {
  switch (type) {
    case 'string':
    case 'boolean':
    case 'number':
      return { type };
    case 'Date':
      return { type: 'string', format: 'date-time' };
    case 'IntOrString':
      return { oneOf: [{ type: 'integer' }, { type: 'string' }], format: 'int-or-string' };
    default:
      return { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  }
}

function mergeWords(type: string, name: string): Fields {
  const merge = listMerge(type, name);
  if (merge === undefined) return {};
  const { mergeKey, keys } = merge;
  const strategy = type === 'V1PodSpec' && name === 'volumes' ? 'merge,retainKeys' : 'merge';
  if (mergeKey === undefined)
    return { 'x-kubernetes-list-type': 'set', 'x-kubernetes-patch-strategy': strategy };
  return {
    ...{ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys ?? [mergeKey] },
    ...{ 'x-kubernetes-patch-merge-key': mergeKey, 'x-kubernetes-patch-strategy': strategy },
  };
}

/** A kind's own schema stands apart from the model's, which carries no group. */
const nameOf = ({ group, version, kind }: Kind): string =>
  `${group === '' ? 'core' : group.replaceAll('.', '-')}.${version}.${kind}`;

/** OpenAPI 3 of one group and version, with what clients look for in it. */
export function openApi(kinds: Kinds, group: string, version: string): Fields {
  const schemas = new Schemas();
  const own = kinds.in(group, version);
  for (const kind of own) schemas.addKind(kind);
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes API emulator', version: 'v1' },
    paths: Object.fromEntries(own.map((kind) => [pathOf(kind), operationsOf(kind)])),
    components: { schemas: schemas.all() },
  };
}

function pathOf(kind: Kind): string {
  const root = kind.group === '' ? '/api/v1' : `/apis/${apiVersionOf(kind)}`;
  return `${root}/${kind.namespaced ? 'namespaces/{namespace}/' : ''}${kind.plural}/{name}`;
}

function operationsOf(kind: Kind): Fields {
  const { group, version } = kind;
  const body = { schema: { $ref: REF + nameOf(kind) } };
  const query = (name: string, type: string): Fields => ({
    name,
    in: 'query',
    schema: { type, uniqueItems: true },
  });
  const common = { 'x-kubernetes-group-version-kind': { group, version, kind: kind.kind } };
  const responses = { '200': { description: 'OK', content: { 'application/json': body } } };
  const writing = [
    query('dryRun', 'string'),
    query('fieldManager', 'string'),
    query('fieldValidation', 'string'),
  ];
  const patches = PATCHES.filter((type) => !kind.custom || !type.includes('strategic'));
  return {
    get: { ...common, 'x-kubernetes-action': 'get', responses },
    put: { ...common, 'x-kubernetes-action': 'put', parameters: writing, responses },
    patch: {
      ...common,
      'x-kubernetes-action': 'patch',
      parameters: [...writing, query('force', 'boolean')],
      requestBody: {
        content: Object.fromEntries(patches.map((type) => [type, { schema: { type: 'object' } }])) as Fields,
      },
      responses,
    },
  };
}

/** The index of OpenAPI 3. */
export function openApiIndex(kinds: Kinds): Fields {
  const paths = kinds.groups().flatMap(([group, versions]) =>
    versions.map((version) => {
      const path = group === '' ? `api/${version}` : `apis/${group}/${version}`;
      return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=emulator` }];
    }),
  );
  return { paths: Object.fromEntries(paths) as Fields };
}

/** Swagger 2 of everything, for those who read it as JSON. */
export function swagger(kinds: Kinds): Fields {
  const documents = kinds
    .groups()
    .flatMap(([group, versions]) => versions.map((version) => openApi(kinds, group, version)));
  const definitions = Object.assign(
    {},
    ...documents.map((one) => (one['components'] as Fields)['schemas']),
  ) as Fields;
  const paths = Object.assign({}, ...documents.map((one) => one['paths'])) as Fields;
  const text = JSON.stringify({ paths, definitions }).replaceAll('#/components/schemas/', '#/definitions/');
  return {
    swagger: '2.0',
    info: { title: 'Kubernetes API emulator', version: 'v1' },
    ...(JSON.parse(text) as Fields),
  };
}
