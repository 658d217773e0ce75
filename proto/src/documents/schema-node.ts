import { z } from 'zod';

import { canonicalText, type JsonValue } from '../canonical-json.js';

/** The part of JSON Schema (OpenAPI 3.0 dialect) that the documents need. */
export interface SchemaNode {
  readonly type: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean';
  readonly description?: string;
  readonly default?: JsonValue;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: SchemaNode | false;
  readonly items?: SchemaNode;
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  /** Of a flattened union: which values of `type` each property belongs to. Not part of any export. */
  readonly variants?: Readonly<Record<string, readonly string[]>>;
}

type RawNode = Omit<SchemaNode, 'type'> & {
  readonly type?: SchemaNode['type'];
  readonly oneOf?: readonly RawNode[];
};

/** The schema of what an author may write, with unions flattened as {@link flatten} says. */
export function schemaNodeOf(schema: z.ZodType): SchemaNode {
  return flatten(
    z.toJSONSchema(schema, { io: 'input', target: 'openapi-3.0', reused: 'inline' }) as unknown as RawNode,
  );
}

/**
 * Turns unions by `type` into one object: `type` becomes an enum, the properties of all variants become optional
 * siblings, and those that every variant demands stay required. Kubernetes' structural schemas know no other unions.
 */
function flatten(node: RawNode): SchemaNode {
  const { oneOf, ...rest } = node;
  if (oneOf !== undefined) return { ...rest, ...mergeVariants(oneOf.map(flatten)) };
  if (rest.type === undefined) throw new TypeError('a node of a document schema has no type');
  return {
    ...rest,
    type: rest.type,
    ...(rest.properties && { properties: mapValues(rest.properties, flatten) }),
    ...(rest.items && { items: flatten(rest.items) }),
  };
}

function mergeVariants(variants: readonly SchemaNode[]): SchemaNode {
  const properties: Record<string, SchemaNode> = {};
  const owners: Record<string, string[]> = {};
  for (const variant of variants) {
    const type = typeOf(variant);
    for (const [name, node] of Object.entries(variant.properties ?? {})) {
      properties[name] = name === 'type' ? typeNode(variants) : sameNode(name, properties[name], node);
      (owners[name] ??= []).push(type);
    }
  }
  const everywhere = (name: string): boolean => variants.every(({ required }) => required?.includes(name));
  return {
    type: 'object',
    properties: mapValues(properties, (node, name) => attribute(node, owners[name] ?? [], variants.length)),
    required: Object.keys(properties).filter(everywhere),
    additionalProperties: false,
    variants: owners,
  };
}

const typeOf = (variant: SchemaNode): string => variant.properties?.['type']?.enum?.[0] ?? '';

function typeNode(variants: readonly SchemaNode[]): SchemaNode {
  return { type: 'string', enum: variants.map(typeOf) };
}

/** One name means one thing in all variants: Kubernetes has a single node for it. */
function sameNode(name: string, known: SchemaNode | undefined, node: SchemaNode): SchemaNode {
  const text = (value: SchemaNode): string => canonicalText(value as unknown as JsonValue);
  if (known !== undefined && text(known) !== text(node))
    throw new TypeError(`variants disagree about ${name}`);
  return node;
}

/** Says which types a sibling belongs to. Its default goes: in a structural schema it would apply to every type. */
function attribute(node: SchemaNode, owners: readonly string[], variants: number): SchemaNode {
  if (owners.length === variants) return node;
  const { default: value, description = '', ...rest } = node;
  const fallback = value === undefined ? '' : ` Default ${canonicalText(value)}.`;
  return { ...rest, description: `${description}${fallback} Of type ${owners.join(' and ')} only.`.trim() };
}

export function mapValues<A, B>(
  record: Readonly<Record<string, A>>,
  map: (value: A, key: string) => B,
): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
}
