import {
  LIMITS,
  requireDigest,
  requireId,
  requireName,
  type Digest,
  type IdentityKind,
} from '@tributary/proto';
import type {
  ApplyRequest__Output,
  ControlJobRequest__Output,
  CreateContextRequest__Output,
  CreateInvitationRequest__Output,
  FetchModelBlobRequest__Output,
  PublishRosterRequest__Output,
  RevokeSiteRequest__Output,
  StreamLogsRequest__Output,
  WatchObjectsRequest__Output,
} from '@tributary/proto/grpc';

import type { Role } from '../../../domain/federation-state.js';
import { kindNamed, type ObjectKind, type ObjectName } from '../../../domain/objects.js';
import { invalid, requireBytes, requireSafeInteger, requireText } from './fields.js';

export function fromKind(text: string): ObjectKind {
  const kind = kindNamed(text);
  if (kind !== undefined) return kind;
  throw invalid('kind', 'FederatedJob (fj), Site, Model or ModelRollout');
}

export function fromRef(ref: { readonly kind: string; readonly name: string }): ObjectName {
  return { kind: fromKind(ref.kind), name: requireName(ref.name, 'name') };
}

export interface Application {
  readonly document: Uint8Array;
  readonly authorKey: Uint8Array;
  readonly signature: Uint8Array;
  readonly dryRun: boolean;
}

export function fromApply(request: ApplyRequest__Output): Application {
  return {
    document: requireBytes(request.document, 'document', { most: LIMITS.documentBytes }),
    authorKey: requireBytes(request.authorKey, 'authorKey', { exactly: 32 }),
    signature: requireBytes(request.signature, 'signature', { exactly: 64 }),
    dryRun: request.dryRun,
  };
}

export interface JobControl {
  readonly name: string;
  readonly action: 'suspend-job' | 'resume-job' | 'cancel-job';
  readonly reason: string;
}

export function fromControl(request: ControlJobRequest__Output): JobControl {
  const name = requireName(request.name, 'name');
  const reason = requireText(request.reason, 'reason', LIMITS.detailLength);
  switch (request.action) {
    case 'SUSPEND':
      return { name, action: 'suspend-job', reason };
    case 'RESUME':
      return { name, action: 'resume-job', reason };
    case 'CANCEL':
      return { name, action: 'cancel-job', reason };
    default:
      throw invalid('action', 'SUSPEND, RESUME or CANCEL');
  }
}

export interface InvitationRequest {
  readonly site: string;
  readonly identity: IdentityKind;
  readonly labels: Readonly<Record<string, string>>;
  /** 0: the default. */
  readonly ttlMs: number;
  readonly approve: boolean;
}

export function fromInvitation(request: CreateInvitationRequest__Output): InvitationRequest {
  const labels = Object.entries(request.labels);
  if (labels.length > LIMITS.labels) throw invalid('labels', `at most ${String(LIMITS.labels)}`);
  const checked = labels.map(
    ([key, value]) => [requireText(key, 'labels'), requireText(value, `labels.${key}`)] as const,
  );
  return {
    site: requireName(request.site, 'site'),
    identity: fromIdentityKind(request.kind),
    labels: Object.fromEntries(checked),
    ttlMs: request.ttlSeconds * 1_000,
    approve: request.approve,
  };
}

function fromIdentityKind(text: string): IdentityKind {
  if (text === '') return 'Training';
  if (text === 'Serving') return text;
  throw invalid('kind', 'Serving or nothing');
}

export interface RevocationRequest {
  readonly site: string;
  readonly agentId?: string;
  readonly reason: string;
}

export function fromRevocation(request: RevokeSiteRequest__Output): RevocationRequest {
  return {
    site: requireName(request.site, 'site'),
    ...(request.agentId !== '' && { agentId: requireId(request.agentId, 'agt', 'agentId') }),
    reason: requireText(request.reason, 'reason', LIMITS.detailLength),
  };
}

export interface ContextRequest {
  readonly name: string;
  readonly role: Role;
  readonly csr: Uint8Array;
}

export function fromContext(request: CreateContextRequest__Output): ContextRequest {
  if (request.role !== 'admin' && request.role !== 'viewer') throw invalid('role', 'admin or viewer');
  return {
    name: requireName(request.name, 'name'),
    role: request.role,
    csr: requireBytes(request.csr, 'csr', { most: LIMITS.certificateRequestBytes }),
  };
}

export interface RosterPublication {
  readonly roster: Uint8Array;
  readonly root: Uint8Array;
  /** The hand-over to this root; undefined while the root stays. */
  readonly rotation: Uint8Array | undefined;
}

export function fromPublishRoster(request: PublishRosterRequest__Output): RosterPublication {
  const { rotation } = request;
  return {
    roster: requireBytes(request.roster, 'roster', { most: LIMITS.rosterBytes }),
    root: requireBytes(request.root, 'root', { most: LIMITS.rootBytes }),
    rotation:
      rotation.length === 0 ? undefined : requireBytes(rotation, 'rotation', { most: LIMITS.rootBytes }),
  };
}

export interface ModelBlobRequest {
  readonly model: string;
  /** 0: the newest. */
  readonly version: number;
  /** Undefined: the manifest. */
  readonly digest: Digest | undefined;
  readonly offset: number;
}

export function fromModelBlob(request: FetchModelBlobRequest__Output): ModelBlobRequest {
  return {
    model: requireName(request.model, 'model'),
    version: request.version,
    digest: request.digest === '' ? undefined : requireDigest(request.digest, 'digest'),
    offset: requireSafeInteger(request.offset, 'offset'),
  };
}

export interface LogRequest {
  readonly subject: string;
  readonly follow: boolean;
  readonly tail: number;
}

export function fromStreamLogs(request: StreamLogsRequest__Output): LogRequest {
  return { subject: requireText(request.subject, 'subject'), follow: request.follow, tail: request.tail };
}

export interface WatchRequest {
  readonly kind: ObjectKind;
  /** Empty: all of the kind. */
  readonly name: string;
  /** Resume after this entry; undefined: begin with the objects as they are. */
  readonly afterSeq: number | undefined;
}

export function fromWatch(request: WatchObjectsRequest__Output): WatchRequest {
  return {
    kind: fromKind(request.kind),
    name: request.name === '' ? '' : requireName(request.name, 'name'),
    afterSeq: request.afterSeq === undefined ? undefined : requireSafeInteger(request.afterSeq, 'afterSeq'),
  };
}
