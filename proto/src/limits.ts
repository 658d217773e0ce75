/**
 * Every size, count, rate and deadline that is enforced at an edge, with its unit and reason. A message beyond one
 * is answered with a typed error; none of them is a tuning knob of a job.
 */

import { LOAD_LIMITS } from './load-limits.js';
import { TABLE_LIMITS } from './table-limits.js';

const KIB = 1024;
const MIB = 1024 * KIB;

export const LIMITS = Object.freeze({
  ...LOAD_LIMITS,
  ...TABLE_LIMITS,
  /** Bytes of a gRPC message on any port: one 1 MiB chunk with its tag and framing. */
  grpcMessageBytes: 1 * MIB + 64 * KIB,
  /** Bytes of a message from somebody without a certificate: a certificate request and its signatures, or a probe. */
  anonymousMessageBytes: 32 * KIB,
  /** Bytes of plaintext in one chunk of an envelope or a download; the last may be shorter. */
  chunkBytes: 1 * MIB,
  /**
   * Bytes of the first chunk of a download, after which as much again may come, and of the smallest that the header of an
   * upload may announce: what has passed before a break counts in whole chunks.
   */
  firstChunkBytes: 32 * KIB,
  /** Smallest chunk that the header of an upload may announce before wire 1.3: below it, per-chunk costs show. */
  minChunkBytes: 256 * KIB,
  /** Bytes of one canonical-JSON ledger entry: a job document and its signature fit. */
  ledgerEntryBytes: 512 * KIB,
  /** Bytes of a roster as canonical JSON: some 2,000 members, and escaped it fits into a ledger entry. */
  rosterBytes: 384 * KIB,
  /** Keys of a federation root: one per site of a consortium that decides together. */
  rootKeys: 64,
  /** Bytes of a hand-over from one root to another: all its keys and signatures. */
  rootBytes: 64 * KIB,
  /** Milliseconds. A site that is shown no newer roster goes by an old one for this long: 400 days at most. */
  rosterDefaultTtlMs: 90 * 24 * 3_600_000,
  rosterMaxTtlMs: 400 * 24 * 3_600_000,
  /** Bytes of a document (FederatedJob, SitePolicy) as canonical JSON. */
  documentBytes: 256 * KIB,
  /** Nesting of a canonical JSON value: deeper ones are refused before recursion can exhaust the stack. */
  jsonDepth: 32,
  /** Entries in one GetEntries answer. */
  entriesPerCall: 10_000,
  /** Parameters of a model: 4 GiB of float32 is what one wasm heap can hold at most; half of it here. */
  modelParameters: 500_000_000,
  /** Inputs of one encoded row: 16 MiB as float32. */
  inputElements: 4_194_304,
  /** Bytes of a model file of TensorFlow.js or Keras, whose weights are elsewhere: 64 layers take some 50 KiB. */
  modelFileBytes: 4 * MIB,
  /** Bytes of the weights in an ONNX file: protobuf ends at 2 GiB, and the export holds them twice in memory. */
  onnxBytes: 1024 * MIB,
  /** Elements of one row behind any layer: 256 MiB as float32, times the rows of a batch. */
  activationElements: 67_108_864,
  /** Tensors of a layout. */
  layoutTensors: 4_096,
  /** Updates folded into one int64 accumulator: 2^50 * 2^12 = 2^62 stays below the sign bit. */
  updatesPerRound: 4_096,
  /** Groups of test rows that a round reports: with every metric and its error they fill half a ledger entry. */
  evaluationGroups: 256,
  /** Tail elements of an update vector after the parameters: that many groups with all metrics and variances. */
  tailElements: 8_192,
  /** Sizes of a shape in a request for predictions, and nesting of the data that follows it. */
  tensorAxes: 8,
  /** Components of one FHIR Observation. */
  observationComponents: 1_024,
  /** Wire versions that one side may offer, and characters of one. */
  wireVersions: 16,
  versionCharacters: 16,
  /** Bytes of an envelope header. */
  envelopeHeaderBytes: 8 * KIB,
  /** Bytes of a PKCS #10 certificate request: an ECDSA P-256 one has about 300. */
  certificateRequestBytes: 4 * KIB,
  /** Characters of ids and names that go into paths and ledger entries. */
  nameLength: 63,
  /** Characters of a redacted error detail. */
  detailLength: 512,
  /** Bytes of one record of a CSV dataset, fields and delimiters: an unclosed quote ends here, not in memory. */
  csvRecordBytes: 1 * MIB,
  /** Datasets that a site declares: each is named in its hello. */
  datasets: 256,
  /** Nesting of JSON in a dataset: FHIR needs some 20, and the reader's own recursion ends the process at thousands. */
  datasetJsonDepth: 128,
  /** Columns of a source or view. */
  datasetColumns: 10_000,
  /** Sources of a dataset, and files that they name together. */
  datasetSources: 64,
  datasetFiles: 10_000,
  /** Characters of the SQL of a view. */
  viewLength: 64 * KIB,
  /** Bytes that the reader of datasets (DuckDB) may hold; sorts beyond go to encrypted files. */
  readerMemoryBytes: 256 * MIB,
  /** Bytes that sorts of one dataset may take on disk. */
  readerDiskBytes: 256 * 1024 * MIB,
  /** Combinations of quasi-identifiers that are counted, in memory: beyond it the columns are as good as a name. */
  quasiCombinations: 1_000_000,
  /** Bytes of a dataset encoded as float32, on disk beyond datasetMemoryBytes. */
  datasetBytes: 64 * 1024 * MIB,
  /** Bytes of encoded rows that the training worker holds in memory: a quarter of a machine of 1 GiB. */
  datasetMemoryBytes: 256 * MIB,
  /** Bytes of the scores of a test split, held in memory to measure them. */
  predictionBytes: 256 * MIB,
  /** Bytes of tensors during training: a wasm heap ends at 4 GiB and overflows silently. */
  tensorBytes: 3 * 1024 * MIB,
  /** Bytes of the wasm heap during training: the rest up to 4 GiB is what one step may take before it is looked at again. */
  wasmHeapBytes: 3.5 * 1024 * MIB,
  /** Milliseconds of the process in which a native binding is tried: CUDA may take 10 s to start. */
  backendProbeMs: 60_000,
  /** Milliseconds between two checkpoints of a training, at least: what is lost by a crash, and how often the disk is written. */
  checkpointEveryMs: 2_000,
  /** Milliseconds after which a checkpoint that nothing removed is: no round lasts longer than a week. */
  checkpointTtlMs: 8 * 24 * 3_600_000,
  /** Bytes of a frame from or to a trainer of another process. */
  trainerFrameBytes: 1 * MIB,
  /** Bytes of a checkpoint of such a trainer: weights and three moments of a model of 64 million parameters. */
  trainerCheckpointBytes: 1024 * MIB,
  /** Milliseconds of one task of such a trainer where the deadline of the round is later: a day. */
  trainerTaskMs: 24 * 3_600_000,
  /** Times that a training goes on from its last checkpoint because its trainer died: one that dies more often would die again. */
  trainerRestarts: 3,
  /** Model versions that an agent keeps ready to answer at the same time. */
  servedModels: 64,
  /** Rows of one request for predictions; more go in several requests. */
  predictionRows: 4_096,
  /** Bytes of the encoded rows of one request: 4,096 rows of 4,096 inputs. */
  predictionInputBytes: 64 * MIB,
  /** Rows that are predicted together unless a pipeline says otherwise. */
  predictionBatchRows: 256,
  /** Milliseconds that the first row of a batch waits for others unless a pipeline says otherwise. */
  predictionBudgetMs: 2,
  /** Bytes of the body of a request for predictions. */
  predictionBodyBytes: 16 * MIB,
  /** Tensors of a request for predictions: one a column. */
  predictionTensors: 10_000,
  /** Agents known to one coordinator. */
  agents: 10_000,
  /** Replicas of one site, invited ones among them: each holds a stream, and fetches every version by itself. */
  replicasPerSite: 64,
  /** Bytes that one member attaches for another: two sealed shares. */
  stageAttachmentBytes: 1 * KIB,
  /** Members to whom one attaches something: shares live in GF(256). */
  stageAttachments: 255,
  /** Corrupt uploads of one site in one round before its update is refused: a machine that corrupts three is broken. */
  corruptUploads: 3,
  /** Updates folded between two checkpoints of the accumulator: bounds spool files on disk. */
  checkpointEveryUpdates: 64,
  /** Agents of a secure round on the complete graph: shares live in GF(256), and the work grows with their square. */
  completeGraphAgents: 100,
  /** Neighbours of an agent in a secure round beyond that: GF(256) has 255 places for shares. */
  neighbours: 254,
  /** Choices of t shares that are tried where a dealer's do not combine: some milliseconds each at t=67. */
  shareChoices: 128,
  /** Bytes of the signed payload of a stage of secure aggregation: 254 shares with owner fill 40 KiB. */
  stagePayloadBytes: 64 * KIB,
  /** Bytes of a roster or cohort of a secure round: 4,096 members with keys, tree head and signature. */
  roundRosterBytes: 8 * MIB,
  /** Milliseconds for which a site keeps the secrets of a round whose end it never hears: a round lasts a week at most. */
  secureRoundKeptMs: 30 * 24 * 3_600_000,
  /** Times a round is tried again before its job fails. */
  roundRetries: 3,
  /** Blobs whose digest a coordinator remembers to have checked: more than open rounds and rollouts hand out at a time. */
  blobsChecked: 1_000,
  /** Free bytes with which a database is opened again after a failed write: LevelDB writes its log, 4 MiB, once more. */
  reopenBytes: 8 * MIB,
  /** Milliseconds for which a site that is not ready is left out of rounds at least, and at most without asking it again. */
  siteWaitMinMs: 5_000,
  /** Milliseconds to which the shortest such wait grows where attempt after attempt fails: each is some ledger entries. */
  siteWaitRepeatedMs: 5 * 60_000,
  siteWaitMaxMs: 8 * 24 * 3_600_000,
  /** Milliseconds for which a site that lacks the dataset of a job is left out, unless its agent is started anew. */
  siteDatasetMs: 10 * 60_000,
  /** Times that a site may change its decision about a job: each is a ledger entry. */
  siteDecisions: 16,
  /** Lines of a site's log between two signed heads. */
  signedHeadEveryLines: 64,
  /** Named client certificates of the admin service. */
  contexts: 1_000,
  /** Labels of a site. */
  labels: 64,
  /** Entries between two snapshots of the coordinator's state. */
  snapshotEveryEntries: 1_000,
  /**
   * Entries of a ledger that is verified before anybody is served: half a second, of the two within which 10,000 are served.
   * A longer one is verified meanwhile.
   */
  entriesVerifiedFirst: 20_000,
  /** Milliseconds by which clocks may differ where an instant is judged. */
  clockSkewMs: 5 * 60_000,
  /** MQTT brokers and pipelines that agent.yaml names. */
  brokers: 64,
  pipelines: 256,
  /** Milliseconds. */
  joinTokenDefaultTtlMs: 24 * 3_600_000,
  joinTokenMaxTtlMs: 30 * 24 * 3_600_000,
  certificateTtlMs: 24 * 3_600_000,
  /** Milliseconds that certificates begin before they are issued: a site whose clock is that far behind can still connect. */
  certificateBackdateMs: 24 * 3_600_000,
  /** Milliseconds after which a coordinator looks again whether its certificates are to be followed by others. */
  certificateLookMs: 60_000,
  /** Bytes of one message in a tunnel: what a socket delivers at once, several times over. */
  tunnelMessageBytes: 1 * MIB,
  /** Bytes of a packet from an MQTT broker: a payload of 1 MiB, its topic and properties. */
  brokerPacketBytes: 1 * MIB + 128 * KIB,
  /** Milliseconds for which an MQTT 5 broker is asked to keep the session of an absent source: a week. */
  brokerSessionMs: 7 * 24 * 3_600_000,
  /** Bytes of the payload of one message of a stream: ten seconds of twelve leads at 1 kHz as text fit. */
  streamPayloadBytes: 1 * MIB,
  /** Records or samples of a column in one message. */
  streamPoints: 65_536,
  /** Columns of a stream. */
  streamColumns: 256,
  /** Bytes of a text cell of a stream: texts are held in the state of windows. */
  streamTextBytes: 1 * KIB,
  /** Characters of the key of a stream. */
  streamKeyLength: 256,
  /** Values that one key holds for open windows: half an hour of two leads at 360 Hz, 8 MiB as float64. */
  streamValuesPerKey: 1_048_576,
  /** Runs of samples, or records, that one key holds: each costs a comparison when a window closes. */
  streamRunsPerKey: 16_384,
  /** Messages of one key that are remembered, so that a repeated one is known. */
  streamRecentIds: 1_024,
  /** Gaps of one window that are told one by one; the rest are counted. */
  streamGaps: 32,
  /** Milliseconds without a message after which a key with nothing open is forgotten. */
  streamForgetMs: 3_600_000,
  /** Milliseconds by which the arrivals of even samples may wander without being taken for a gap or an overlap. */
  streamJitterMs: 1_000,
  /** Elements of a Series: as many as a Sequence takes. */
  streamSeries: 65_536,
  /** Milliseconds for which changed keys are gathered before they are written: each write waits for the disk. */
  streamWriteMs: 250,
  /** Messages that wait for a write at which it begins at once: half of what a broker has in flight. */
  streamWriteInputs: 512,
  /** Milliseconds without a message after which it begins at once: the broker may send no more until some are acknowledged. */
  streamQuietMs: 15,
});
