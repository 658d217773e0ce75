import {
  encodeBase64,
  formatId,
  parseDocumentBytes,
  requireId,
  requireName,
  TributaryError,
  type LedgerEntry,
  type NewEntry,
} from '@tributary/proto';
import type {
  ApplyRequest__Output,
  ApplyResponse,
  ControlJobRequest__Output,
  UndoRolloutRequest__Output,
} from '@tributary/proto/grpc';

import { decide } from '../../../domain/decide.js';
import type { ApplyRollout, SubmitJob } from '../../../domain/command.js';
import type { OperatorCaller } from '../caller.js';
import { fromApply, fromControl } from '../wire/admin.js';
import type { AdminParts } from './parts.js';
import { toObjectMessage, type ObjectViews } from './object-views.js';

/** Records a document whose form and signature the domain checks: created, configured, or found unchanged. */
export async function apply(
  parts: AdminParts,
  views: ObjectViews,
  request: ApplyRequest__Output,
  caller: OperatorCaller,
): Promise<ApplyResponse> {
  const { document, authorKey, signature, dryRun } = fromApply(request);
  const { kind, name } = requireApplied(document);
  const signed = {
    now: parts.clock.now(),
    actor: caller.actor,
    document: Buffer.from(document).toString('utf8'),
    authorKey: encodeBase64(authorKey),
    signature: encodeBase64(signature),
  };
  const id = parts.random.bytes(16);
  const command: SubmitJob | ApplyRollout =
    kind === 'FederatedJob'
      ? { kind: 'submit-job', jobId: formatId('job', id), ...signed }
      : { kind: 'apply-rollout', rolloutId: formatId('rol', id), ...signed };
  if (dryRun) {
    const outcome = outcomeOf(decide(parts.federation.state, command));
    const known = views.get(kind, name);
    return { outcome, object: known === undefined ? { kind, name, document } : toObjectMessage(known) };
  }
  const outcome = outcomeOf(await parts.federation.execute(command));
  return { outcome, object: toObjectMessage(views.require(kind, name)) };
}

/** Takes the newest rollout of a model back; the answer is the name of the model. */
export async function undoRollout(
  { federation, clock }: AdminParts,
  request: UndoRolloutRequest__Output,
  { actor }: OperatorCaller,
): Promise<string> {
  const model = requireName(request.model, 'model');
  const rolloutId = requireId(request.rolloutId, 'rol', 'rolloutId');
  await federation.execute({ kind: 'undo-rollout', now: clock.now(), actor, model, rolloutId });
  return model;
}

/** Suspends, resumes or cancels; the answer is the name of the job. */
export async function control(
  parts: AdminParts,
  request: ControlJobRequest__Output,
  caller: OperatorCaller,
): Promise<string> {
  const { name, action, reason } = fromControl(request);
  const asked = { now: parts.clock.now(), actor: caller.actor, name };
  await parts.federation.execute(
    action === 'resume-job' ? { kind: action, ...asked } : { kind: action, ...asked, reason },
  );
  return name;
}

interface Applied {
  readonly kind: 'FederatedJob' | 'ModelRollout';
  readonly name: string;
}

function requireApplied(document: Uint8Array): Applied {
  const { kind, metadata } = parseDocumentBytes(document);
  if (kind === 'FederatedJob' || kind === 'ModelRollout') return { kind, name: metadata.name };
  throw new TributaryError('DOCUMENT_INVALID', `kind: a ${kind} is not applied to the coordinator`, {
    hint: `a ${kind} is a file at its site: the agent reads it there`,
  });
}

function outcomeOf(entries: readonly (NewEntry | LedgerEntry)[]): 'CREATED' | 'CONFIGURED' | 'UNCHANGED' {
  const isNew = entries.some(
    (entry) =>
      entry.type === 'job.submitted' ||
      (entry.type === 'rollout.applied' && entry.body.previous === undefined),
  );
  if (isNew) return 'CREATED';
  return entries.length > 0 ? 'CONFIGURED' : 'UNCHANGED';
}
