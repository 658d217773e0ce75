import { documentNode, type DocumentKind } from './kinds.js';
import { mapValues, schemaNodeOf, type SchemaNode } from './schema-node.js';
import { jobStatusSchema } from './status.js';

/** A schema as it is exported: without the marks that only this folder reads. */
export type JsonSchema = Omit<SchemaNode, 'variants'>;

/**
 * JSON Schema of a document for editors and validators: unions are a `type` enum with optional siblings, and unknown
 * fields are refused. Which siblings a type demands is said in their descriptions and checked by parseDocument.
 */
export function documentJsonSchema(kind: DocumentKind): JsonSchema {
  return exported(documentNode(kind), true);
}

/**
 * `openAPIV3Schema` of a custom resource, structural as Kubernetes demands (apiextensions.k8s.io/v1): closed objects are
 * left open, because the API server prunes unknown fields itself and refuses `additionalProperties: false`; `metadata`
 * says no more than the name; `status` is there.
 */
export function structuralSchema(kind: 'FederatedJob'): JsonSchema {
  const { properties = {}, ...root } = exported(documentNode(kind), false);
  const { metadata, ...others } = properties;
  const name = metadata?.properties?.['name'];
  const status = exported(schemaNodeOf(jobStatusSchema), false);
  return {
    ...root,
    properties: {
      ...others,
      metadata: { type: 'object', ...(name && { properties: { name } }) },
      status: { ...status, description: 'Written by the coordinator.' },
    },
  };
}

function exported(node: SchemaNode, closed: boolean): SchemaNode {
  const { variants: _, additionalProperties, properties, items, required, ...rest } = node;
  const keepAdditional = additionalProperties !== undefined && (additionalProperties !== false || closed);
  return {
    ...rest,
    ...(properties && { properties: mapValues(properties, (child) => exported(child, closed)) }),
    ...(required && required.length > 0 && { required }),
    ...(items && { items: exported(items, closed) }),
    ...(keepAdditional && { additionalProperties }),
  };
}
