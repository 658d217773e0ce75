import { stageTranscriptDigest, TributaryError, type SecureStage, type StageReport } from '@tributary/proto';

import type { OpenedRound } from './order.js';

/** What the coordinator shows is what its ledger says was said: the same for every member. */
export function requireTranscript(
  round: OpenedRound,
  stage: SecureStage,
  reports: readonly StageReport[],
): void {
  const closed = round.closed.find((one) => one.stage === stage);
  if (closed?.transcriptDigest !== stageTranscriptDigest(round.opened, stage, reports))
    throw contradiction(stage);
}

/** Likewise of a stage that took updates. */
export function requireParticipants(round: OpenedRound, stage: SecureStage, sites: readonly string[]): void {
  const closed = round.closed.find((one) => one.stage === stage);
  if (closed?.participants.join() !== [...sites].sort().join()) throw contradiction(stage);
}

const contradiction = (stage: SecureStage): TributaryError =>
  new TributaryError(
    'SECAGG_MESSAGE_INVALID',
    `what the coordinator announces of stage ${stage} is not what its ledger says`,
  );

/** Whoever chose another seed than that of the ledger would choose who is whose neighbour. */
export function requireGraph({ opened }: OpenedRound, graphSeed: string): void {
  if (graphSeed === opened.selectionSeed) return;
  throw new TributaryError(
    'SECAGG_MESSAGE_INVALID',
    'the graph of the round is not that of its ledger entry',
  );
}
