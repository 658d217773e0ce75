import assert from 'node:assert/strict';

import { LIMITS, type EntryOf, type LedgerEntry } from '@tributary/proto';

/** One attempt at a round, as its entries told it. */
interface Attempt {
  readonly round: number;
  readonly attempt: number;
  /** Agents by site. */
  readonly cohort: ReadonlyMap<string, string>;
  readonly stages: readonly string[];
  /** Who reported in which stage. */
  readonly reports: Map<string, Set<string>>;
  /** Participants of the stages that are closed, in the order of closing. */
  readonly closed: (readonly string[])[];
  /** Upload ids by site. */
  readonly accepted: Map<string, string>;
  readonly out: Set<string>;
  /** A site was not ready. */
  waited: boolean;
  ended: 'Open' | 'Committed' | 'Failed';
}

export interface RoundBounds {
  /** Sites that a cohort has. */
  readonly fewest: number;
  readonly most: number;
  /** Rounds that train; one more may measure. */
  readonly rounds: number;
}

/** Who was there when a round was opened: agents that may train, by site. */
export type Present = ReadonlyMap<string, string>;

/**
 * What must hold of the rounds of one job, judged from the entries alone and from who was there: a book-keeper that knows
 * nothing of stages' deadlines, minima or the machine that decides.
 */
export class RoundModel {
  readonly #bounds: RoundBounds;
  readonly #attempts: Attempt[] = [];
  readonly #uploads = new Set<string>();
  readonly #revoked = new Set<string>();
  #base: string | undefined;
  /** 'Running' until the job has ended. */
  #job: 'Running' | 'Ended' = 'Running';

  constructor(bounds: RoundBounds) {
    this.#bounds = bounds;
  }

  get commits(): number {
    return this.#attempts.filter(({ ended }) => ended === 'Committed').length;
  }

  /** The attempt that is open, if one is. */
  get open(): { readonly cohort: ReadonlyMap<string, string> } | undefined {
    const last = this.#attempts.at(-1);
    return last?.ended === 'Open' ? last : undefined;
  }

  /** Judges entries in the order in which they were recorded. */
  learn(entries: readonly LedgerEntry[], present: Present): void {
    for (const entry of entries) this.#learn(entry, present);
  }

  #learn(entry: LedgerEntry, present: Present): void {
    switch (entry.type) {
      case 'round.opened':
        this.#opened(entry, present);
        break;
      case 'update.accepted':
        this.#accepted(entry);
        break;
      case 'stage.message':
        this.#reported(this.#running(entry), entry.body.stage, entry.body.site);
        break;
      case 'stage.closed':
        this.#closed(entry);
        break;
      case 'site.declined':
      case 'site.waits':
      case 'update.refused':
        this.#left(entry);
        break;
      case 'round.committed':
        this.#committed(entry);
        break;
      case 'round.failed':
        this.#failed(entry);
        break;
      default:
        this.#learnOther(entry);
    }
  }

  #learnOther(entry: LedgerEntry): void {
    if (entry.type === 'agent.revoked') this.#revoked.add(entry.body.agentId);
    if (entry.type === 'job.started') this.#base ??= entry.body.modelDigest;
    if (entry.type !== 'job.completed' && entry.type !== 'job.failed') return;
    assert.equal(this.open, undefined, 'the job ended before its round');
    assert.equal(this.#job, 'Running', 'the job ended twice');
    this.#job = 'Ended';
  }

  #opened({ body }: EntryOf<'round.opened'>, present: Present): void {
    const { round, attempt, baseDigest } = body;
    assert.equal(this.open, undefined, 'two rounds are open');
    assert.equal(this.#job, 'Running', 'a round of a job that has ended');
    const last = this.#attempts.at(-1);
    const due =
      last === undefined
        ? [1, 0]
        : last.ended === 'Committed'
          ? [last.round + 1, 0]
          : [last.round, last.attempt + 1];
    assert.deepEqual([round, attempt], due, 'a round number was left out or used again');
    assert.ok(round <= this.#bounds.rounds + 1);
    assert.equal(baseDigest, this.#base, 'another base than the last model');
    const cohort = new Map(body.cohort.map(({ site, agentId }) => [site, agentId]));
    assert.equal(cohort.size, body.cohort.length, 'a site twice in a cohort');
    assert.ok(cohort.size >= this.#bounds.fewest && cohort.size <= this.#bounds.most, 'cohort out of bounds');
    for (const [site, agent] of cohort) assert.equal(agent, present.get(site), `${site} was not there`);
    const stages = body.stages.map(({ name }) => name);
    const records = { reports: new Map(stages.map((name) => [name, new Set<string>()])), closed: [] };
    const fates = { accepted: new Map(), out: new Set<string>(), waited: false, ended: 'Open' as const };
    this.#attempts.push({ round, attempt, cohort, stages, ...records, ...fates });
  }

  /** The attempt that an entry is about: none but the open one is ever changed. */
  #running({ body }: { readonly body: { readonly round: number; readonly attempt: number } }): Attempt {
    const last = this.#attempts.at(-1);
    assert.ok(last !== undefined && last.round === body.round && last.attempt === body.attempt, 'not open');
    assert.equal(last.ended, 'Open', 'an attempt that has ended was changed');
    return last;
  }

  #accepted(entry: EntryOf<'update.accepted'>): void {
    const { site, agentId, uploadId } = entry.body;
    const attempt = this.#running(entry);
    assert.equal(attempt.cohort.get(site), agentId, 'an update of a stranger');
    assert.ok(!attempt.accepted.has(site), `${site} was accepted twice`);
    assert.ok(!this.#uploads.has(uploadId), 'an upload was accepted twice');
    this.#uploads.add(uploadId);
    attempt.accepted.set(site, uploadId);
    this.#reported(attempt, attempt.stages[attempt.closed.length] ?? '', site);
  }

  #reported(attempt: Attempt, stage: string, site: string): void {
    assert.equal(stage, attempt.stages[attempt.closed.length], 'a report in a stage that is not open');
    assert.ok(attempt.cohort.has(site), 'a report of a stranger');
    assert.ok(attempt.closed.at(-1)?.includes(site) ?? true, `${site} missed the stage before`);
    assert.ok(!attempt.out.has(site), `${site} is out`);
    assert.ok(!this.#revoked.has(attempt.cohort.get(site) ?? ''), `${site} is revoked`);
    const reports = attempt.reports.get(stage);
    assert.ok(reports !== undefined && !reports.has(site), `${site} reported twice`);
    reports.add(site);
  }

  #closed(entry: EntryOf<'stage.closed'>): void {
    const attempt = this.#running(entry);
    const { stage, participants } = entry.body;
    assert.equal(stage, attempt.stages[attempt.closed.length], 'a stage closed out of turn');
    assert.deepEqual(participants, [...(attempt.reports.get(stage) ?? [])].sort());
    attempt.closed.push(participants);
  }

  #left(entry: EntryOf<'site.declined' | 'site.waits' | 'update.refused'>): void {
    const { site } = entry.body;
    // A site may still say why it was not ready when its attempt has failed.
    const late = entry.type === 'site.waits' && this.open === undefined;
    const attempt = late ? this.#attempts.at(-1) : this.#running(entry);
    assert.ok(attempt !== undefined && attempt.cohort.has(site), 'a stranger left');
    assert.ok(!attempt.out.has(site), `${site} left twice`);
    if (entry.type !== 'site.declined') assert.ok(!attempt.accepted.has(site), 'taken back');
    attempt.out.add(site);
    attempt.waited ||= entry.type === 'site.waits';
  }

  /** Attempts that fail for sites that were not ready do not count; of others a round has few. */
  #failed(entry: EntryOf<'round.failed'>): void {
    const attempt = this.#running(entry);
    attempt.ended = 'Failed';
    const failed = this.#attempts.filter(({ round, waited }) => round === attempt.round && !waited);
    assert.ok(failed.length <= LIMITS.roundRetries + 1, 'a round is tried for ever');
  }

  #committed(entry: EntryOf<'round.committed'>): void {
    const attempt = this.#running(entry);
    const { folded, reporting, dropped, modelDigest } = entry.body;
    assert.equal(attempt.closed.length, attempt.stages.length, 'committed before its stages were closed');
    assert.deepEqual(folded, [...attempt.accepted.values()].sort(), 'not every accepted update once');
    assert.deepEqual(reporting, [...attempt.accepted.keys()].sort());
    assert.deepEqual([...reporting, ...dropped].sort(), [...attempt.cohort.keys()].sort());
    attempt.ended = 'Committed';
    this.#base = modelDigest;
  }
}
