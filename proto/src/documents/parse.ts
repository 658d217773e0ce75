import { canonicalText, parseCanonical, type JsonValue } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { rootProblem } from '../membership/federation-root.js';
import { coherenceProblems } from './coherence.js';
import type { FederatedJob } from './federated-job.js';
import {
  documentNode,
  DOCUMENT_KINDS,
  DOCUMENT_SCHEMAS,
  isDocumentKind,
  type DocumentKind,
  type DocumentKinds,
  type TributaryDocument,
} from './kinds.js';
import { API_VERSION } from './metadata.js';
import { rolloutProblems, unservedSteps, type ModelRollout } from './model-rollout.js';
import { nearest } from './nearest.js';
import { problemError, quote, type Problem } from './problem.js';
import { schemaProblems } from './schema-problem.js';
import type { FederationRule, SitePolicy } from './site-policy.js';
import { streamProblems } from './stream-coherence.js';
import type { StreamPipeline } from './stream-pipeline.js';
import { unsupportedProblems } from './unsupported.js';

const GROUP = API_VERSION.slice(0, API_VERSION.indexOf('/') + 1);
/** Kinds that nobody applies. */
const WRITTEN_KINDS = ['Site', 'Model'];

/**
 * Reads a document of any kind: whatever JSON or YAML gave. The result is fresh, holds every default, and parses to
 * itself again. Throws DOCUMENT_INVALID listing every problem as `path: what; fix`, DOCUMENT_UNSUPPORTED naming parts
 * that this version does not serve, LIMIT_EXCEEDED above LIMITS.documentBytes or LIMITS.jsonDepth.
 */
export function parseDocument(value: unknown): TributaryDocument {
  const document = plainJson(value);
  const kind = kindOf(document);
  switch (kind) {
    case 'FederatedJob':
      return parseKind(kind, document);
    case 'ModelRollout':
      return parseKind(kind, document);
    case 'SitePolicy':
      return parseKind(kind, document);
    case 'StreamPipeline':
      return parseKind(kind, document);
  }
}

/** {@link parseDocument} of the canonical bytes in which documents travel; other bytes throw INVALID_ARGUMENT. */
export function parseDocumentBytes(bytes: Uint8Array): TributaryDocument {
  return parseDocument(parseCanonical(bytes, LIMITS.documentBytes));
}

/** {@link parseDocument}, but any other kind than FederatedJob is DOCUMENT_INVALID. */
export function parseFederatedJob(value: unknown): FederatedJob {
  const document = plainJson(value);
  expectKind(document, 'FederatedJob');
  return parseKind('FederatedJob', document);
}

/** {@link parseDocument}, but any other kind than ModelRollout is DOCUMENT_INVALID. */
export function parseModelRollout(value: unknown): ModelRollout {
  const document = plainJson(value);
  expectKind(document, 'ModelRollout');
  return parseKind('ModelRollout', document);
}

/** {@link parseDocument}, but any other kind than SitePolicy is DOCUMENT_INVALID. */
export function parseSitePolicy(value: unknown): SitePolicy {
  const document = plainJson(value);
  expectKind(document, 'SitePolicy');
  return parseKind('SitePolicy', document);
}

/** {@link parseDocument}, but any other kind than StreamPipeline is DOCUMENT_INVALID. */
export function parseStreamPipeline(value: unknown): StreamPipeline {
  const document = plainJson(value);
  expectKind(document, 'StreamPipeline');
  return parseKind('StreamPipeline', document);
}

function parseKind<K extends DocumentKind>(kind: K, document: JsonValue): DocumentKinds[K] {
  const unsupported = unsupportedProblems(kind, document);
  if (unsupported.length > 0) throw problemError('DOCUMENT_UNSUPPORTED', unsupported);
  const parsed = DOCUMENT_SCHEMAS[kind].safeParse(document);
  if (!parsed.success) throw invalid(...schemaProblems(parsed.error.issues, documentNode(kind), document));
  const problems = incoherence(parsed.data);
  if (problems.length > 0) throw invalid(...problems);
  const unserved = parsed.data.kind === 'ModelRollout' ? unservedSteps(parsed.data) : [];
  if (unserved.length > 0) throw problemError('DOCUMENT_UNSUPPORTED', unserved);
  return parsed.data;
}

function incoherence(document: TributaryDocument): Problem[] {
  switch (document.kind) {
    case 'FederatedJob':
      return coherenceProblems(document.spec);
    case 'ModelRollout':
      return rolloutProblems(document);
    case 'StreamPipeline':
      return streamProblems(document.spec);
    case 'SitePolicy':
      return rootProblems(document.spec.federation);
  }
}

function rootProblems(federation: FederationRule | undefined): Problem[] {
  const problem = federation && rootProblem(federation.root);
  return problem === undefined ? [] : [{ ...problem, path: ['spec', 'federation', 'root', problem.field] }];
}

/** A copy as plain JSON: no cycles, no prototypes, no undefined, of bounded size and depth. */
function plainJson(value: unknown): JsonValue {
  let text: string;
  try {
    text = canonicalText(value as JsonValue);
  } catch (error) {
    if (error instanceof TributaryError && error.code === 'LIMIT_EXCEEDED') throw error;
    const what = error instanceof TributaryError ? error.message : 'not plain data';
    throw invalid({ path: [], what, fix: 'write mappings, lists, texts, finite numbers, true and false' });
  }
  if (Buffer.byteLength(text) > LIMITS.documentBytes) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `a document has at most ${String(LIMITS.documentBytes)} bytes as canonical JSON`,
    );
  }
  return JSON.parse(text, refuseProto) as JsonValue;
}

/** Schemas skip this member, so it would be an unknown field that nobody sees. */
function refuseProto(key: string, value: unknown): unknown {
  if (key === '__proto__') throw invalid({ path: [key], what: 'unknown field', fix: 'remove it' });
  return value;
}

function kindOf(document: JsonValue): DocumentKind {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw invalid({ path: [], what: 'is no mapping', fix: 'begin with apiVersion and kind' });
  }
  const { apiVersion, kind } = document as Readonly<Record<string, JsonValue>>;
  if (typeof apiVersion === 'string' && apiVersion.startsWith(GROUP) && apiVersion !== API_VERSION) {
    const what = `${quote(apiVersion)} is not served by this version`;
    throw problemError('DOCUMENT_UNSUPPORTED', [{ path: ['apiVersion'], what, fix: `write ${API_VERSION}` }]);
  }
  if (apiVersion !== API_VERSION) {
    throw invalid({ path: ['apiVersion'], what: describe(apiVersion), fix: `write ${API_VERSION}` });
  }
  return knownKind(kind);
}

function knownKind(kind: JsonValue | undefined): DocumentKind {
  const path = ['kind'];
  const choice = `use one of ${DOCUMENT_KINDS.join(', ')}`;
  if (typeof kind !== 'string') throw invalid({ path, what: describe(kind), fix: choice });
  if (isDocumentKind(kind)) return kind;
  if (WRITTEN_KINDS.includes(kind)) {
    throw invalid({ path, what: `${kind} objects are written by the coordinator`, fix: choice });
  }
  const meant = nearest(kind, DOCUMENT_KINDS);
  throw invalid({ path, what: describe(kind), fix: meant === undefined ? choice : `did you mean ${meant}?` });
}

function expectKind(document: JsonValue, expected: DocumentKind): void {
  const kind = kindOf(document);
  if (kind !== expected)
    throw invalid({ path: ['kind'], what: `is ${kind}`, fix: `a ${expected} is expected here` });
}

function describe(value: JsonValue | undefined): string {
  if (value === undefined) return 'is missing';
  return typeof value === 'string' ? `${quote(value)} is not known` : 'is no text';
}

function invalid(...problems: Problem[]): TributaryError {
  return problemError('DOCUMENT_INVALID', problems);
}
