import { knownEntry, type EntryOutline, type LedgerEntry } from '@tributary/proto';

import { specOf } from './entry-text.js';

/** How a version of a model came to be: each step with the number of the entry that records it. */
export interface Lineage {
  readonly model: string;
  readonly version: number;
  readonly weightsDigest: string;
  readonly registered: number;
  readonly job: {
    readonly entry: number;
    readonly jobId: string;
    readonly name: string;
    readonly authorKey: string;
    /** As its author signed it. */
    readonly privacy: unknown;
  };
  readonly decisions: readonly Decision[];
  readonly rounds: readonly LineageRound[];
  readonly completed?: number;
  readonly rollouts: readonly { readonly entry: number; readonly type: string; readonly time: string }[];
}

interface Decision {
  readonly entry: number;
  readonly site: string;
  readonly decision: 'Approved' | 'Rejected';
  readonly approver: string;
  readonly decidedAt: string;
}

interface LineageRound {
  readonly round: number;
  readonly attempt: number;
  readonly kind: string;
  readonly opened: number;
  readonly cohort: readonly string[];
  readonly mode: string;
  readonly secure?: unknown;
  readonly updates: { readonly entry: number; readonly site: string }[];
  readonly declined: { readonly entry: number; readonly site: string; readonly code: string }[];
  committed?: {
    readonly entry: number;
    readonly reporting: readonly string[];
    readonly dropped: readonly string[];
    readonly modelDigest: string;
  };
  failed?: { readonly entry: number; readonly code: string };
}

interface Trail {
  readonly job: Lineage['job'];
  readonly decisions: Decision[];
  readonly rounds: LineageRound[];
  completed?: number;
}

/** Gathers the lineage of one version while the entries of a ledger go by in order. Keeps what is of jobs of the model. */
export class LineageTrail {
  readonly #model: string;
  readonly #version: number;
  readonly #trails = new Map<string, Trail>();
  readonly #rollouts: Lineage['rollouts'][number][] = [];
  #found: (Pick<Lineage, 'weightsDigest' | 'registered'> & { readonly trail: Trail }) | undefined;

  constructor(model: string, version: number) {
    this.#model = model;
    this.#version = version;
  }

  follow(outline: EntryOutline): void {
    const entry = knownEntry(outline);
    if (entry === undefined) return;
    if (entry.type === 'job.submitted') return this.#submitted(entry);
    if (entry.type === 'rollout.applied' || entry.type === 'rollout.undone') return this.#rolledOut(entry);
    const trail = 'jobId' in entry.body ? this.#trails.get(entry.body.jobId) : undefined;
    if (trail === undefined) return;
    if (entry.type === 'model.registered') this.#registered(entry, trail);
    else follow(trail, entry);
  }

  /** Undefined where the entries register no such version. */
  get lineage(): Lineage | undefined {
    if (this.#found === undefined) return undefined;
    const { trail, weightsDigest, registered } = this.#found;
    const { job, decisions, rounds, completed } = trail;
    return {
      ...{ model: this.#model, version: this.#version, weightsDigest, registered, job, decisions, rounds },
      ...(completed !== undefined && { completed }),
      rollouts: this.#rollouts,
    };
  }

  #submitted({ seq, body }: Extract<LedgerEntry, { type: 'job.submitted' }>): void {
    const spec = specOf(body.document);
    const model = (spec?.['model'] as { readonly name?: unknown } | undefined)?.name;
    if (model !== undefined && model !== this.#model) return;
    const { jobId, name, authorKey } = body;
    const job = { entry: seq, jobId, name, authorKey, privacy: spec?.['privacy'] ?? {} };
    this.#trails.set(jobId, { job, decisions: [], rounds: [] });
  }

  #registered({ seq, body }: Extract<LedgerEntry, { type: 'model.registered' }>, trail: Trail): void {
    if (body.model === this.#model && body.version === this.#version)
      this.#found = { trail, weightsDigest: body.weightsDigest, registered: seq };
  }

  #rolledOut(entry: Extract<LedgerEntry, { type: 'rollout.applied' | 'rollout.undone' }>): void {
    const version = entry.type === 'rollout.applied' ? entry.body.version : entry.body.previous;
    if (entry.body.model !== this.#model || version !== this.#version) return;
    this.#rollouts.push({ entry: entry.seq, type: entry.type, time: entry.time });
  }
}

function follow(trail: Trail, entry: LedgerEntry): void {
  switch (entry.type) {
    case 'job.approved':
    case 'job.rejected': {
      const { site, approverName: approver, decidedAt } = entry.body;
      const decision = entry.type === 'job.approved' ? 'Approved' : 'Rejected';
      trail.decisions.push({ entry: entry.seq, site, decision, approver, decidedAt });
      return;
    }
    case 'round.opened':
      trail.rounds.push(openedRound(entry));
      return;
    case 'job.completed':
      trail.completed = entry.seq;
      return;
    default:
      followRound(trail, entry);
  }
}

function openedRound({ seq, body }: Extract<LedgerEntry, { type: 'round.opened' }>): LineageRound {
  const { round, attempt, kind = 'Training', mode, cohort, secure } = body;
  const sites = cohort.map(({ site }) => site);
  const said = { round, attempt, kind, opened: seq, cohort: sites, mode, ...(secure && { secure }) };
  return { ...said, updates: [], declined: [] };
}

function followRound(trail: Trail, entry: LedgerEntry): void {
  const { body, seq } = entry;
  if (!('round' in body)) return;
  const found = trail.rounds.findLast(
    ({ round, attempt }) => round === body.round && attempt === body.attempt,
  );
  if (found === undefined) return;
  if (entry.type === 'update.accepted') found.updates.push({ entry: seq, site: entry.body.site });
  if (entry.type === 'site.declined')
    found.declined.push({ entry: seq, site: entry.body.site, code: entry.body.code });
  if (entry.type === 'round.failed') found.failed = { entry: seq, code: entry.body.code };
  if (entry.type !== 'round.committed') return;
  const { reporting, dropped, modelDigest } = entry.body;
  found.committed = { entry: seq, reporting, dropped, modelDigest };
}

/** The lineage for people, one step a line. */
export function lineageLines(lineage: Lineage): readonly string[] {
  const { model, version, job, decisions, rounds, completed, registered, rollouts } = lineage;
  return [
    `${model}@${String(version)}  weights ${lineage.weightsDigest}`,
    `  #${String(job.entry)}  job ${job.name} (${job.jobId}), signed by ${job.authorKey}`,
    `      privacy ${JSON.stringify(job.privacy)}`,
    ...decisions.map(
      ({ entry, site, decision, approver, decidedAt }) =>
        `  #${String(entry)}  ${decision} by ${approver} of ${site} at ${decidedAt}`,
    ),
    ...rounds.flatMap(roundLines),
    ...(completed === undefined ? [] : [`  #${String(completed)}  job completed`]),
    `  #${String(registered)}  registered`,
    ...rollouts.map(({ entry, type, time }) => `  #${String(entry)}  ${type} at ${time}`),
  ];
}

function roundLines(round: LineageRound): readonly string[] {
  const { opened, attempt, kind, mode, secure, cohort, updates, declined, committed, failed } = round;
  const terms = secure === undefined ? mode : `${mode} ${JSON.stringify(secure)}`;
  return [
    `  #${String(opened)}  round ${String(round.round)}.${String(attempt)} (${kind}, ${terms}) of ${cohort.join(', ')}`,
    ...updates.map(({ entry, site }) => `    #${String(entry)}  update of ${site}`),
    ...declined.map(({ entry, site, code }) => `    #${String(entry)}  ${site} declined: ${code}`),
    ...(committed === undefined
      ? []
      : [
          `    #${String(committed.entry)}  committed with ${committed.reporting.join(', ')}${committed.dropped.length === 0 ? '' : `, without ${committed.dropped.join(', ')}`}: model ${committed.modelDigest}`,
        ]),
    ...(failed === undefined ? [] : [`    #${String(failed.entry)}  failed: ${failed.code}`]),
  ];
}
