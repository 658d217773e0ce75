import type { z } from 'zod';

import { federatedJobSchema, type FederatedJob } from './federated-job.js';
import { modelRolloutSchema, type ModelRollout } from './model-rollout.js';
import { schemaNodeOf, type SchemaNode } from './schema-node.js';
import { sitePolicySchema, type SitePolicy } from './site-policy.js';
import { streamPipelineSchema, type StreamPipeline } from './stream-pipeline.js';

/** Every document that people write. */
export interface DocumentKinds {
  readonly FederatedJob: FederatedJob;
  readonly ModelRollout: ModelRollout;
  readonly SitePolicy: SitePolicy;
  readonly StreamPipeline: StreamPipeline;
}

export type DocumentKind = keyof DocumentKinds;
export type TributaryDocument = DocumentKinds[DocumentKind];

export const DOCUMENT_SCHEMAS: { readonly [K in DocumentKind]: z.ZodType<DocumentKinds[K]> } = Object.freeze({
  FederatedJob: federatedJobSchema,
  ModelRollout: modelRolloutSchema,
  SitePolicy: sitePolicySchema,
  StreamPipeline: streamPipelineSchema,
});

export const DOCUMENT_KINDS = Object.freeze(Object.keys(DOCUMENT_SCHEMAS)) as readonly DocumentKind[];

export function isDocumentKind(kind: string): kind is DocumentKind {
  return Object.hasOwn(DOCUMENT_SCHEMAS, kind);
}

const nodes = new Map<DocumentKind, SchemaNode>();

/** The flattened schema of a document, built once. */
export function documentNode(kind: DocumentKind): SchemaNode {
  let node = nodes.get(kind);
  if (node === undefined) nodes.set(kind, (node = schemaNodeOf(DOCUMENT_SCHEMAS[kind])));
  return node;
}
