import {
  canonicalize,
  compileFeatures,
  decodeBase64,
  digestOf,
  documentIdentity,
  emptyStatisticsDigest,
  isJsonObject,
  layoutDigest,
  layoutOf,
  LIMITS,
  needsEvaluation,
  needsStatistics,
  parseCanonical,
  parseFederatedJob,
  ringLength,
  roundLayout,
  roundVectors,
  tailLength,
  TributaryError,
  vectorLength,
  verifyDocument,
  type Digest,
  type EntryBody,
  type EntryType,
  type FederatedJob,
  type FederatedJobSpec,
  type Layout,
  type LedgerEntry,
  type UpdateShape,
} from '@tributary/proto';

import type { RawOrder } from '../coordinator-messages.js';
import { rosterEvidence, type RosterEvidence } from './membership.js';
import { provenEntry, requireHead, type PinnedLog } from './proof.js';
import type { RoundRef } from './round-key.js';

/** Who reads the order. */
export interface OrderReader extends PinnedLog {
  readonly agentId: string;
  readonly site: string;
}

/** An order to train, to tell statistics or to evaluate, with everything that was proven about it. */
export interface OpenedRound {
  readonly kind: 'Opened';
  readonly jobId: string;
  readonly job: FederatedJob;
  /** Of the text that was signed. */
  readonly jobDigest: Digest;
  /** Of what the author's signature covers but for the name: what operators may set, and labels, do not change it. */
  readonly signedDigest: Digest;
  /** That text. */
  readonly document: string;
  /** Base64 of the key whose signature over the job document was verified. */
  readonly authorKey: string;
  readonly opened: EntryBody<'round.opened'>;
  /** What the order proves of the membership; the policy says whose roster it has to be. */
  readonly evidence: RosterEvidence;
  /** Of the part of the round's vector before its tail: the model, the table of statistics, or nothing. */
  readonly layout: Layout;
  /** Of the model of the job. */
  readonly model: Layout;
  /** The job keeps this site out of training: it only evaluates. */
  readonly heldOut: boolean;
  /** Stages of the round that are closed, of which this site was a participant each time. */
  readonly closed: readonly ClosedStage[];
}

/** A stage of a round that the ledger says is closed. */
export type ClosedStage = Pick<EntryBody<'stage.closed'>, 'stage' | 'participants' | 'transcriptDigest'>;

/** An order that closes rounds: everything of the job up to `round` is settled. */
export interface SettledRound {
  readonly kind: 'Settled';
  readonly round: RoundRef;
  readonly how: EntryType;
}

export type VerifiedOrder = OpenedRound | SettledRound;

/**
 * Verifies an order: signature of the tree head, inclusion of each entry, the author's signature over the job, and that
 * the round is what job and layout make it. Throws PROOF_INVALID, SIGNATURE_INVALID, NOT_IN_COHORT, DOCUMENT_INVALID,
 * DOCUMENT_UNSUPPORTED, UPDATE_WRONG_SHAPE.
 */
export function verifyOrder(reader: OrderReader, order: RawOrder): VerifiedOrder {
  requireHead(reader, order.treeHead);
  const entries = order.entries.map((raw) => provenEntry(order.treeHead, raw));
  const last = entries.at(-1);
  if (last === undefined) throw unproven('an order names at least one entry');
  if (last.type === 'round.opened') return openedRound(reader, entries, last.body);
  if (last.type === 'stage.closed') return openedRound(reader, entries, bodyOf(entries, 'round.opened'));
  return { kind: 'Settled', round: settledBy(reader, last), how: last.type };
}

/** Whether no round of the job follows. */
export const endsJob = ({ how }: SettledRound): boolean =>
  how === 'job.completed' || how === 'job.failed' || how === 'job.deleted';

/** After every round that a job can have. */
const WHOLE_JOB = { round: Number.MAX_SAFE_INTEGER, attempt: Number.MAX_SAFE_INTEGER } as const;

function settledBy(reader: OrderReader, entry: LedgerEntry): RoundRef {
  switch (entry.type) {
    case 'round.committed':
    case 'round.failed': {
      const { jobId, round, attempt } = entry.body;
      return { jobId, round, attempt };
    }
    case 'update.refused': {
      const { jobId, round, attempt, agentId } = entry.body;
      if (agentId !== reader.agentId) throw unproven('the refused update is that of another agent');
      return { jobId, round, attempt };
    }
    case 'job.completed':
    case 'job.failed':
    case 'job.deleted':
      return { jobId: entry.body.jobId, ...WHOLE_JOB };
    default:
      throw unproven(`an entry of type ${entry.type} orders nothing`);
  }
}

function openedRound(
  reader: OrderReader,
  entries: readonly LedgerEntry[],
  opened: EntryBody<'round.opened'>,
): OpenedRound {
  const submitted = bodyOf(entries, 'job.submitted');
  const started = bodyOf(entries, 'job.started');
  const { jobId } = opened;
  if (submitted.jobId !== jobId || started.jobId !== jobId)
    throw unproven('the entries are of different jobs');
  if (!opened.cohort.some(({ agentId, site }) => agentId === reader.agentId && site === reader.site)) {
    throw new TributaryError(
      'NOT_IN_COHORT',
      `${reader.site} is not in the cohort of round ${String(opened.round)}`,
    );
  }
  const { job, signedDigest } = signedJob(submitted);
  const model = layoutOf(job.spec.model.layers, compileFeatures(job.spec.features).shape);
  if (layoutDigest(model) !== started.layoutDigest)
    throw unproven('the layout of the model is not that of the job');
  requirePurpose(job.spec, opened);
  const layout = roundLayout(job.spec, model, opened.kind);
  if (layoutDigest(layout) !== opened.layoutDigest)
    throw unproven('the layout of the round is not that of the job');
  const sites = opened.cohort.map(({ site }) => site);
  const { tail } = roundVectors(job.spec, sites, opened.kind);
  if (opened.vectorLength !== lengthOf(job.spec, { parameters: layout.length, ...tail })) {
    throw new TributaryError('UPDATE_WRONG_SHAPE', 'the vector length of the round is not that of the job');
  }
  const heldOut = job.spec.evaluation.holdOutSite === reader.site;
  const { authorKey, document } = submitted;
  const jobDigest = digestOf(new TextEncoder().encode(document));
  const evidence = rosterEvidence(entries);
  const closed = closedStages(reader, entries, opened);
  const of = { jobId, job, jobDigest, signedDigest, document, authorKey };
  return { kind: 'Opened', ...of, opened, evidence, layout, model, heldOut, closed };
}

/** Elements on the wire: values, or words of the ring. */
function lengthOf({ privacy }: FederatedJobSpec, shape: UpdateShape): number {
  return privacy.secureAggregation
    ? ringLength({ parameters: shape.parameters, tail: tailLength(shape) })
    : vectorLength(shape);
}

/** The stages that the order proves to be closed: the first ones of the round, in order, with this site in each. */
function closedStages(
  { site }: OrderReader,
  entries: readonly LedgerEntry[],
  { jobId, round, attempt, stages }: EntryBody<'round.opened'>,
): readonly ClosedStage[] {
  const closed = entries.filter((entry) => entry.type === 'stage.closed').map(({ body }) => body);
  for (const [index, body] of closed.entries()) {
    const fits = body.jobId === jobId && body.round === round && body.attempt === attempt;
    if (!fits || body.stage !== stages[index]?.name)
      throw unproven('a stage was closed that the round does not have');
    if (!body.participants.includes(site))
      throw new TributaryError('NOT_IN_COHORT', `${site} took no part in stage ${body.stage}`);
  }
  return closed;
}

/**
 * A job whose features are scaled by all sites begins with statistics, on a table of zeros, and names them afterwards; no
 * other job may ask for them. A job that asks for metrics ends with an evaluation, and no other one.
 */
function requirePurpose(spec: FederatedJobSpec, opened: EntryBody<'round.opened'>): void {
  const isLast = opened.round === spec.rounds + 1;
  if (opened.kind === 'Evaluation' && !(isLast && needsEvaluation(spec)))
    throw unproven('the job asks for no evaluation in this round');
  const { kind, round, baseDigest, statisticsDigest } = opened;
  const isStatistics = kind === 'Statistics';
  const asked = needsStatistics(spec);
  const known = isStatistics
    ? asked &&
      round === 0 &&
      statisticsDigest === undefined &&
      baseDigest === emptyStatisticsDigest(spec.features)
    : round > 0 && asked === (statisticsDigest !== undefined);
  if (!known) throw unproven('the statistics of the round are not those that the job asks for');
}

/** The job document of an entry, with the author's signature verified over what was written. */
function signedJob({
  document,
  authorKey,
  signature,
  name,
}: EntryBody<'job.submitted'>): Pick<OpenedRound, 'job' | 'signedDigest'> {
  const value = parseCanonical(new TextEncoder().encode(document), LIMITS.documentBytes);
  if (!isJsonObject(value)) throw unproven('the job document is not an object');
  verifyDocument(value, decodeBase64(authorKey, 'authorKey', 32), decodeBase64(signature, 'signature', 64));
  const job = parseFederatedJob(value);
  if (job.metadata.name !== name) throw unproven('the job document has another name than its entry');
  const { metadata: _, ...signed } = documentIdentity(value);
  return { job, signedDigest: digestOf(canonicalize(signed)) };
}

function bodyOf<T extends EntryType>(entries: readonly LedgerEntry[], type: T): EntryBody<T> {
  const found = entries.filter((entry) => entry.type === type);
  const [only] = found;
  if (only === undefined || found.length > 1) throw unproven(`the order proves one ${type} entry`);
  return only.body as EntryBody<T>;
}

const unproven = (what: string): TributaryError => new TributaryError('PROOF_INVALID', what);
