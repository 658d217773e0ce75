import { LIMITS, TributaryError } from '@tributary/proto';
import type {
  ListObjectsRequest__Output,
  ListObjectsResponse,
  ObjectMessage,
  ObjectRef__Output,
} from '@tributary/proto/grpc';

import type { OperatorCaller } from '../caller.js';
import { fromKind, fromRef } from '../wire/admin.js';
import { toObjectMessage, type ObjectViews } from './object-views.js';
import type { AdminParts } from './parts.js';

/** Bytes of objects in one answer: the message around them needs a little of the limit. */
const MOST_BYTES = LIMITS.grpcMessageBytes - 64 * 1_024;

export function listObjects(
  { federation }: AdminParts,
  views: ObjectViews,
  request: ListObjectsRequest__Output,
): ListObjectsResponse {
  const objects = views.list(fromKind(request.kind)).map(toObjectMessage);
  const bytes = objects.reduce((sum, { document }) => sum + (document?.length ?? 0), 0);
  if (bytes > MOST_BYTES) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `the objects fill more than one answer of ${String(LIMITS.grpcMessageBytes)} bytes`,
      {
        hint: 'watch them (get -w): a stream has no such limit',
      },
    );
  }
  return { objects, seq: String(Math.max(0, federation.size() - 1)) };
}

const DELETION_HINTS = {
  Site: (name: string) => `tributary revoke ${name}`,
  Model: () => 'model versions stay, with their lineage',
  ModelRollout: (name: string) => `tributary rollout undo ${name}`,
} as const;

/** Deletes a job; the answer is the job as it last was. */
export async function deleteObject(
  parts: AdminParts,
  views: ObjectViews,
  request: ObjectRef__Output,
  caller: OperatorCaller,
): Promise<ObjectMessage> {
  const { kind, name } = fromRef(request);
  const last = toObjectMessage(views.require(kind, name));
  if (kind !== 'FederatedJob') {
    throw new TributaryError('CONFLICT', `a ${kind} is part of the record and cannot be deleted`, {
      hint: DELETION_HINTS[kind](name),
    });
  }
  await parts.federation.execute({ kind: 'delete-job', now: parts.clock.now(), actor: caller.actor, name });
  return last;
}
