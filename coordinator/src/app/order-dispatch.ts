import { LIMITS } from '@tributary/proto';
import type { EntryOf, LedgerEntry } from '@tributary/proto';

import { activeAgent } from '../domain/enrolment.js';
import type { FederationState, JobState } from '../domain/federation-state.js';
import { isFinished } from '../domain/job-queue.js';
import { isUnfinished, openStage } from '../domain/rounds/round-progress.js';
import type { MemberState, RoundState } from '../domain/rounds/round-state.js';
import type { Clock } from '../ports.js';
import { membershipSeqs } from '../domain/membership.js';
import type { AppLog } from './app-log.js';
import type { ConnectedAgents } from './connections.js';
import type { Federation } from './federation.js';
import type { OrderPurpose, Orders } from './orders.js';
import { findRound, refOf } from './round-ref.js';

export interface DispatchParts {
  readonly federation: Federation;
  readonly orders: Orders;
  readonly agents: ConnectedAgents;
  readonly clock: Clock;
  readonly log: AppLog;
}

/**
 * Sends orders: to a cohort when its round opens, when another of its stages does, and when it is settled, to a site when
 * its update is refused, and all that still concerns an agent when it connects. Orders of unfinished work that an agent missed come with its next stream.
 */
export class OrderDispatch {
  readonly #parts: DispatchParts;

  constructor(parts: DispatchParts) {
    this.#parts = parts;
  }

  /** Call after each durable append, with the state before it: a job that is deleted while it runs is only there. */
  observe(entries: readonly LedgerEntry[], before: FederationState): void {
    for (const entry of entries) {
      switch (entry.type) {
        case 'round.opened':
          this.#toCohort(findRound(this.#parts.federation.state, entry.body), (job, round, member) =>
            orderFor(job, round, member),
          );
          break;
        case 'stage.closed':
          this.#toCohort(findRound(this.#parts.federation.state, entry.body), (job, round, member) =>
            entry.body.participants.includes(member.site) ? orderFor(job, round, member) : undefined,
          );
          break;
        case 'round.committed':
        case 'round.failed':
          this.#toCohort(findRound(before, entry.body), (job, round) => settlement(job, round, entry.seq));
          break;
        case 'job.completed':
        case 'job.failed':
          this.#jobEnded(this.#endedJob(entry, before));
          break;
        case 'update.refused':
          this.#toCohort(findRound(before, entry.body), (job, round, { site }) =>
            site === entry.body.site ? settlement(job, round, entry.seq) : undefined,
          );
          break;
        default:
      }
    }
  }

  /** Call when an agent has connected. */
  connected(agentId: string): void {
    const { state } = this.#parts.federation;
    const site = state.agents.get(agentId)?.site;
    if (site === undefined) return;
    const concerning = [...state.jobs.values()].flatMap((job) => {
      const member = job.round?.cohort.get(site);
      return job.round === undefined || member?.agentId !== agentId
        ? []
        : [{ job, round: job.round, member }];
    });
    const settled = concerning
      // The end of its job settles every round of it.
      .filter(({ job, round }) => !isUnfinished(round) && job.finishedSeq === undefined)
      .sort((a, b) => (a.round.closedSeq ?? 0) - (b.round.closedSeq ?? 0))
      .slice(-LIMITS.settlementsTold);

    const open = concerning.filter(({ round }) => isUnfinished(round));
    for (const { job, round, member } of [...settled, ...open])
      this.#send(round, member, orderFor(job, round, member));
    const ended = [...state.jobs.values()].filter((job) => isFinished(job) && job.members.includes(site));
    for (const job of ended.slice(-LIMITS.settlementsTold)) this.#jobEnded(job, site);
  }

  /** One that was deleted as it ended is in the state before alone. */
  #endedJob(
    { seq, body: { jobId } }: EntryOf<'job.completed' | 'job.failed'>,
    before: FederationState,
  ): JobState | undefined {
    const job = this.#parts.federation.state.jobs.get(jobId);
    if (job !== undefined) return job;
    const deleted = before.jobs.get(jobId);
    return deleted && { ...deleted, finishedSeq: seq };
  }

  /** Sites that were in a round are told that no other follows; `only` one of them where it has just connected. */
  #jobEnded(job: JobState | undefined, only?: string): void {
    const { finishedSeq, round, members = [] } = job ?? {};
    if (job === undefined || finishedSeq === undefined || round === undefined) return;
    for (const site of only === undefined ? members : [only]) {
      const agent = activeAgent(this.#parts.federation.state, site);
      if (agent !== undefined) this.#send(round, agent, settlement(job, round, finishedSeq));
    }
  }

  #toCohort(
    found: { job: JobState; round: RoundState } | undefined,
    wanted: (job: JobState, round: RoundState, member: MemberState) => Wanted | undefined,
  ): void {
    if (found === undefined) return;
    const { job, round } = found;
    for (const member of round.cohort.values()) this.#send(round, member, wanted(job, round, member));
  }

  #send(
    round: RoundState,
    { agentId, site }: Pick<MemberState, 'agentId' | 'site'>,
    wanted: Wanted | undefined,
  ): void {
    if (wanted === undefined || this.#parts.agents.get(agentId) === undefined) return;
    this.#deliver(agentId, round, wanted).catch((error: unknown) => {
      this.#parts.log.error({ error, ...refOf(round), site }, 'an order could not be built');
    });
  }

  async #deliver(agentId: string, round: RoundState, { purpose, seqs }: Wanted): Promise<void> {
    const { orders, agents, clock, federation, log } = this.#parts;
    const deadlineAt = openStage(round)?.deadlineAt;
    const remainingMs =
      purpose !== 'settle' && deadlineAt !== undefined ? Math.max(1, deadlineAt - clock.now()) : 0;
    const members = purpose === 'settle' ? [] : membershipSeqs(federation.state.membership);
    const order = await orders.build(agentId, purpose, [...members, ...seqs], remainingMs);
    const now = findRound(federation.state, round)?.round;
    // Closed while the proof was made: the settlement has been sent already, and must stay the last word.
    if (purpose !== 'settle' && !isUnfinished(now)) return;
    if (agents.send(agentId, order, refOf(round)))
      log.debug({ ...refOf(round), agentId, purpose }, 'order sent');
  }
}

interface Wanted {
  readonly purpose: OrderPurpose;
  readonly seqs: readonly number[];
}

/** What a member has to be told of a round: to train, or how it ended for the site; undefined where nothing. */
function orderFor(job: JobState, round: RoundState, member: MemberState): Wanted | undefined {
  if (round.closedSeq !== undefined) return settlement(job, round, round.closedSeq);
  if (member.fate === 'Live') return round.phase === 'Open' ? openOrder(job, round, member) : undefined;
  return member.fate === 'Refused' && member.seq !== undefined
    ? settlement(job, round, member.seq)
    : undefined;
}

/** To train, or to go on with the stage that is open; undefined for a site that was not in the stage before. */
function openOrder(job: JobState, round: RoundState, { site }: MemberState): Wanted | undefined {
  const closed = round.stages.slice(0, round.stage);
  if (closed.some(({ participants = [] }) => !participants.includes(site))) return undefined;
  const seqs = [...contextOf(job, round), ...closed.flatMap(({ closedSeq }) => closedSeq ?? [])];
  return { purpose: closed.length === 0 ? 'train' : 'go-on', seqs };
}

const settlement = (job: JobState, round: RoundState, seq: number): Wanted => ({
  purpose: 'settle',
  seqs: [...contextOf(job, round), seq],
});

/** The entries that an agent needs to judge the last one: the signed job, its start, the round. */
const contextOf = (job: JobState, round: RoundState): readonly number[] =>
  [job.submittedSeq, job.startedSeq, round.openedSeq].filter((seq) => seq !== undefined);
