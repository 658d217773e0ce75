export { TributaryError, type TributaryErrorOptions } from './errors/tributary-error.js';
export { ERROR_CODES, ERROR_TABLE, isErrorCode, type ErrorCode } from './errors/error-table.js';
export type { ErrorEntry, GrpcStatusName } from './errors/error-entry.js';
export { LIMITS } from './limits.js';
export {
  formatId,
  isDigest,
  isId,
  isName,
  requireDigest,
  requireId,
  requireName,
  type Digest,
  type IdPrefix,
} from './ids.js';
export { printable } from './printable.js';
export { digestSchema } from './text-schemas.js';
export {
  canonicalize,
  canonicalText,
  isJsonObject,
  parseCanonical,
  type JsonObject,
  type JsonValue,
} from './canonical-json.js';
export { ByteReader } from './byte-reader.js';
export {
  decodeBase64,
  decodeBase64Url,
  decodeHex,
  encodeBase64,
  encodeBase64Url,
  encodeHex,
} from './byte-text.js';

export {
  ED25519,
  requireSignature,
  signingKeyFromSeed,
  verifySignature,
  type SigningKey,
} from './signing/ed25519.js';
export {
  digestFromHash,
  digestOf,
  sha256,
  sha256Hex,
  startDigest,
  type DigestStream,
} from './signing/hash.js';
export { transcript, type TranscriptContext, type TranscriptFields } from './signing/transcript.js';

export { ENTRY_BODIES, ENTRY_TYPES, type EntryBody, type EntryType } from './ledger/entry-types.js';
export {
  decodeEntry,
  encodeEntry,
  ENTRY_VERSION,
  type EntryOf,
  type LedgerEntry,
  type NewEntry,
} from './ledger/entry.js';
export {
  consistencyProof,
  emptyRoot,
  inclusionProof,
  leafHash,
  merkleRoot,
  nodeHash,
  type MerkleNode,
  type NodeReader,
} from './ledger/merkle.js';
export { MerkleFrontier } from './ledger/merkle-frontier.js';
export { verifyConsistency, verifyInclusion } from './ledger/merkle-proof.js';
export {
  logIdOf,
  signTreeHead,
  verifyTreeHead,
  type SignedTreeHead,
  type TreeHead,
} from './ledger/tree-head.js';
export { signCosignature, verifyCosignature, type Cosignature } from './ledger/cosignature.js';
export { witnessedSize, type AuditReport, type Witness } from './ledger/audit-report.js';
export { LedgerAudit, type AuditTerms } from './ledger/ledger-audit.js';
export { knownEntry, readOutline, type EntryOutline } from './ledger/entry-outline.js';
export {
  cosignatureLine,
  decodeExportLine,
  encodeExportLine,
  EXPORT_FORMAT,
  EXPORT_LINE_BYTES,
  headLine,
  type ExportHeader,
  type ExportLine,
} from './ledger/export-line.js';

export {
  encodeManifest,
  parseManifest,
  signManifest,
  verifyManifest,
  type ModelManifest,
} from './model/manifest.js';

export { bytesToFloat32, FLOAT32_BYTES, float32ToBytes } from './parameters/float32-bytes.js';
export { requireEncoding, type Encoding, type ServedEncoding } from './parameters/encodings.js';
export {
  buildLayout,
  EMPTY_LAYOUT,
  layoutDigest,
  parseLayout,
  tensorSize,
  tensorView,
  type Layout,
  type LayoutTensor,
} from './parameters/layout.js';
export {
  needsEvaluation,
  roundLayout,
  roundVectors,
  type RoundKind,
  type RoundVectors,
} from './parameters/round-vectors.js';
export { encodeWeights, weightsBytes, WeightsDecoder } from './parameters/weights.js';
export {
  deltaFactor,
  encodeUpdate,
  exampleWeight,
  scaleDelta,
  squaredNorm,
  tailLength,
  updateRange,
  updateTail,
  VALUE_BOUND,
  vectorLength,
  type GroupNumbers,
  type UpdateBounds,
  type UpdateNumbers,
  type UpdateShape,
} from './parameters/update-vector.js';
export {
  applyMean,
  decodeSums,
  decodeTail,
  type GroupMeans,
  type TailMeans,
} from './parameters/update-sums.js';

export { Accumulator, scaleBitsFor, type AccumulatorOptions } from './accumulator/accumulator.js';
export { decodeCheckpoint, encodeCheckpoint, type Sums } from './accumulator/checkpoint.js';
export { vectorFigures } from './accumulator/kernels.js';
export { UpdateCheck } from './accumulator/update-check.js';

export {
  labelScaling,
  type DatasetSpec,
  type LabelScaling,
  type LearningTask,
} from './documents/learning-task.js';
export {
  columnsOf,
  DEFAULT_MISSING,
  featureColumns,
  type CategoricalFeatureSpec,
  type DateFeatureSpec,
  type FeatureSpec,
  type NumericFeatureSpec,
  type RatioFeatureSpec,
  type ScaledFeatureSpec,
  type SequenceFeatureSpec,
} from './documents/feature-spec.js';
export type { ModelSpec } from './documents/model-spec.js';
export type {
  EarlyStoppingSpec,
  OptimizerSpec,
  ScheduleSpec,
  TrainingSpec,
} from './documents/training-spec.js';
export { LOSS_NAMES, lossesOf, type LossName } from './metrics/loss-names.js';
export type { FederatedJob, FederatedJobInput, FederatedJobSpec } from './documents/federated-job.js';
export type { DeidentificationSpec, Generalisation } from './documents/deidentification-spec.js';
export type {
  DatasetRule,
  FederationRule,
  SitePolicy,
  SitePolicyInput,
  SitePolicySpec,
} from './documents/site-policy.js';
export { rolloutVersion } from './documents/model-rollout.js';
export type { ModelRollout, ModelRolloutInput, ModelRolloutSpec } from './documents/model-rollout.js';
export {
  decisionRuleSchema,
  type DecisionRule,
  type StreamAlertSpec,
  type StreamPipeline,
  type StreamPipelineInput,
  type StreamPipelineSpec,
} from './documents/stream-pipeline.js';
export type { SampleEncoding, StreamPayloadSpec, StreamTimeSpec } from './documents/stream-payload.js';
export type {
  ReductionSpec,
  StreamTriggerSpec,
  StreamWindowSpec,
  TimeWindowSpec,
} from './documents/stream-window.js';
export { feedingField } from './documents/stream-coherence.js';
export { parseTextTemplate, templateNames, type TextPart } from './documents/text-template.js';
export {
  parseTopicTemplate,
  topicCaptures,
  topicFilter,
  topicsOverlap,
  type TopicLevel,
} from './documents/topic-template.js';
export { DOCUMENT_KINDS, type DocumentKind, type TributaryDocument } from './documents/kinds.js';
export { API_VERSION } from './documents/metadata.js';
export {
  parseDocument,
  parseDocumentBytes,
  parseFederatedJob,
  parseModelRollout,
  parseSitePolicy,
  parseStreamPipeline,
} from './documents/parse.js';
export {
  diffMutable,
  documentIdentity,
  MUTABLE_FIELDS,
  type MutableChanges,
  type MutableField,
} from './documents/identity.js';
export { signDocument, verifyDocument } from './documents/signature.js';
export {
  JOB_CONDITION_REASONS,
  ROLLOUT_CONDITION_REASONS,
  SITE_CONDITION_REASONS,
  type JobCondition,
  type JobConditionType,
  type JobPhase,
  type JobStatus,
  type ModelReference,
  type ModelStatus,
  type ModelVersionStatus,
  type RolloutStatus,
  type SiteCondition,
  type SiteIdentity,
  type SiteConditionType,
  type SitePhase,
  type SiteStatus,
} from './documents/status.js';
export type {
  FederatedJobObject,
  ModelObject,
  ModelRolloutObject,
  ObjectMetadata,
  ServedObject,
  SiteObject,
} from './documents/resource.js';
export { documentJsonSchema, structuralSchema, type JsonSchema } from './documents/json-schema.js';

export {
  groupsOf,
  INTERVAL_95,
  subgroupsOf,
  tailShapeOf,
  type EvaluationGroup,
  type TailShape,
} from './metrics/evaluation-groups.js';
export {
  inLabelUnits,
  METRIC_NAMES,
  METRICS,
  metricFits,
  type MetricEntry,
  type MetricName,
} from './metrics/metric-names.js';

export { presentText, readNumber } from './features/cell.js';
export { dayNumber, readDate } from './features/civil-date.js';
export type { Cell, CellFault, CellIssue, ListCell, Row } from './features/cell.js';
export {
  featureFitSchema,
  fitVocabularies,
  NO_FIT,
  scaledBy,
  vocabularyDigest,
  type FeatureFit,
  type Scaling,
  type Vocabulary,
} from './features/fit.js';
export { compileFeatures, type FeaturePlan } from './features/plan.js';
export { FeatureStatistics, type SiteStatistics } from './features/moments.js';
export {
  emptyStatistics,
  emptyStatisticsDigest,
  fitOfStatistics,
  needsStatistics,
  statisticsLayout,
} from './features/statistics.js';
export { compileLabel, type LabelPlan } from './features/label.js';
export { featuresFile, parseFeaturesFile, type FeaturesFile } from './features/features-file.js';

export { initialWeights } from './model/initial.js';
export { kerasLayers, kerasModel } from './model/keras.js';
export { ONNX_INPUT, ONNX_OUTPUT, onnxModel, type OnnxOptions } from './model/onnx/onnx-model.js';
export { layersFromKeras } from './model/keras-import.js';
export { modelFileOf, withModelLayers } from './documents/model-file.js';
export { publicRandom, type PublicRandom } from './model/public-random.js';
export { elementsOf, type Shape } from './model/shape.js';
export { layerShapes, layoutOf, modelTensors, outputOf, parameterCount } from './model/topology.js';
export { LAYER_TYPES } from './model/layers/layer-kinds.js';
export type { LayerKind, LayerTensor } from './model/layers/layer-kind.js';
export type { Activation } from './model/layers/fields.js';
export type { LayerSpec, LayerType } from './model/layers/layer-schema.js';

export {
  decodeEnvelopeHeader,
  encodeEnvelopeHeader,
  leastChunkBytes,
  plaintextBytesOf,
  SUITE,
  type EnvelopeHeader,
} from './envelope/header.js';
export { EnvelopeOpener } from './envelope/opener.js';
export { roundKeyPair, type RoundKeyPair } from './envelope/round-key.js';
export { TagsDigest, verifyEnvelopeHeader, verifyEnvelopeSeal, type EnvelopeSeal } from './envelope/seal.js';
export {
  drawEnvelopeSecrets,
  EnvelopeWriter,
  type EnvelopeFields,
  type EnvelopeSecrets,
} from './envelope/writer.js';

export { openBytes, openStream, sealBytes, sealStream, type SealOptions } from './sealing/sealing.js';
export { IDENTITY_KINDS, kindOf, writtenKind, type IdentityKind } from './enrolment/identity-kind.js';
export {
  federationRoot,
  MEMBERSHIP_FORMAT,
  parseRoot,
  rootDigest,
  type FederationRoot,
  type RootSignature,
} from './membership/federation-root.js';
export {
  encodeRoster,
  parseRoster,
  readRoster,
  rosterDigest,
  signRoster,
  verifyRoster,
  type Roster,
  type RosterDocument,
  type RosterMember,
  type SignedRoster,
} from './membership/roster.js';
export {
  encodeRotation,
  parseRotation,
  readRotation,
  rotationOf,
  signRotation,
  verifyRotation,
  type SignedRotation,
} from './membership/root-rotation.js';
export {
  identityStatement,
  parseIdentityStatement,
  type IdentityStatement,
} from './membership/identity-statement.js';
export { TUNNEL_ENDS, TUNNEL_PROTOCOL, tunnelPath, type TunnelEnd } from './tunnel.js';
export { decodeJoinToken, encodeJoinToken, joinTokenKey, type JoinToken } from './enrolment/join-token.js';
export {
  FORMAT_VERSION,
  ATTEMPT_WIRE_VERSION,
  isAtLeast,
  negotiate,
  requireFormat,
  COSIGNING_WIRE_VERSION,
  SECURE_COHORT_VERSION,
  SECURE_WIRE_VERSION,
  SMALL_CHUNKS_WIRE_VERSION,
  SOFTWARE_VERSION,
  WIRE_VERSIONS,
} from './versions.js';

export * from './secagg/index.js';
export { stageTranscriptDigest, type StageReport } from './ledger/stage-transcript.js';
