import { LIMITS, requireId, requireName } from '@tributary/proto';
import type {
  StageMessage__Output,
  StageRequest__Output,
  StageResult as StageResultMessage,
} from '@tributary/proto/grpc';

import type { RoundRef } from '../../../app/round-ref.js';
import type { StageResult } from '../../../app/secure-rounds.js';
import type { StageOffer } from '../../../app/stage-reception.js';
import { invalid, requireBytes, requireList } from './fields.js';

/** Throws INVALID_ARGUMENT for fields of the wrong form, and for two attachments for one agent. */
export function fromStageMessage(message: StageMessage__Output): StageOffer {
  const attachments = requireList(message.attachments, 'attachments', LIMITS.stageAttachments).map(
    ({ agentId, data }) =>
      [
        requireId(agentId, 'agt', 'attachments.agentId'),
        requireBytes(data, 'attachments.data', { most: LIMITS.stageAttachmentBytes }),
      ] as const,
  );
  const byAgent = new Map<string, Uint8Array>(attachments);
  if (byAgent.size !== attachments.length) throw invalid('attachments', 'one for an agent');
  return {
    ...fromStageRequest(message),
    statement: {
      payload: requireBytes(message.payload, 'payload', { most: LIMITS.stagePayloadBytes }),
      signature: requireBytes(message.signature, 'signature', { exactly: 64 }),
      attachments: byAgent,
    },
  };
}

export function fromStageRequest({
  jobId,
  round,
  attempt,
  stage,
}: Pick<StageRequest__Output, 'jobId' | 'round' | 'attempt' | 'stage'>): RoundRef & { stage: string } {
  return { jobId: requireId(jobId, 'job', 'jobId'), round, attempt, stage: requireName(stage, 'stage') };
}

export function toStageResult({ set, records }: StageResult): StageResultMessage {
  return { set, records: [...records] };
}
