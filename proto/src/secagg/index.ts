export {
  describePlan,
  fewestSites,
  planSecureAggregation,
  requirePlan,
  type Adversary,
  type PlanRefusal,
  type PlanResult,
  type SecureAggregationDemand,
  type SecureAggregationPlan,
  type Topology,
} from './plan.js';
export type { Neighbourhoods } from './neighbourhoods.js';
export {
  SECURE_STAGES,
  type Culprit,
  type CulpritReason,
  type MaskBinding,
  type SecureRound,
  type SecureStage,
  type SpokenStage,
} from './secure-round.js';
export { signStage, stageDigest, type SignedStage, type Signer } from './stage-message.js';
export { SECAGG_VERSION, type StagePayload } from './stage-payloads.js';
export {
  encodeRoundRoster,
  openRoundRoster,
  verifyAdvertisement,
  type MemberKeys,
  type OpenRoundRoster,
  type RoundRoster,
  type RoundRosterExpectation,
  type RoundMember,
} from './roster.js';
export {
  dealBundle,
  openDeliveries,
  openDelivery,
  verifyShareBundle,
  type HeldShares,
  type ShareBundle,
  type ShareCommitments,
  type ShareDelivery,
} from './share-bundle.js';
export { encodeCohort, openCohort, type Cohort, type CohortEvidence, type OpenCohort } from './cohort.js';
export {
  encodeSurvivors,
  openSurvivors,
  signSurvivors,
  verifyAgreement,
  verifySurvivorSet,
  type Agreement,
  type OpenSurvivors,
  type Survivors,
} from './survivors.js';
export { signUnmasking, verifyUnmaskAnswer, type GivenShare, type UnmaskAnswer } from './unmasking.js';
export { recoverMasks, type Recovery, type Unmasking } from './recovery.js';
export { encodeBadDealing, provesBadDealing, type KnownDealer, type ProvenShare } from './bad-dealing.js';
export { judgeRefusals, type RefusalJudgement, type RefusedDealers } from './refused-shares.js';
export { drawRoundSecrets, ownMasks, type MaskParty, type RoundSecrets } from './mask-keys.js';
export type { Mask } from './mask-stream.js';
export { x25519PublicKey } from '../sealing/x25519.js';
export { ringLength, ringScale, type RingScale, type RingShape } from './ring-shape.js';
export { RingEncoder, type RingEncoderOptions, type Rounding } from './ring-encoder.js';
export { RingSum, type OpenedSum } from './ring-sum.js';
