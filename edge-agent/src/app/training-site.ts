import type { SettledRound } from '../domain/order.js';
import type { Clock, DeclaredDataset, SignedJobDecision, StateStore } from '../ports.js';
import type { DutySurroundings } from './duty.js';
import type { EgressCounter } from './egress-counter.js';
import { EgressReceipts } from './egress-receipts.js';
import type { PolicySource } from './policy-source.js';
import { SiteDesk } from './site-desk.js';
import { SiteJobs } from './site-jobs.js';

export interface TrainingSiteParts {
  readonly store: StateStore;
  readonly egress: EgressCounter;
  readonly policy: PolicySource;
  readonly datasets: readonly DeclaredDataset[];
  readonly trainerType: 'Tfjs' | 'Socket';
  readonly clock: Clock;
}

/** The jobs that a site knows, with what its people decide about them and what left for them. */
export interface TrainingSite {
  readonly jobs: SiteJobs;
  readonly desk: SiteDesk;
  readonly tell: (decision: SignedJobDecision) => void;
  /** No round of the job follows: its receipt is made. */
  ended(settled: SettledRound): Promise<void>;
}

export async function trainingSite(
  { store, egress, policy, datasets, trainerType: trainer, clock }: TrainingSiteParts,
  { record, identity, decisions, send }: DutySurroundings,
): Promise<TrainingSite> {
  const { agentId, site, logId } = record;
  const place = { agentId, site, logId };
  const tell = (decision: SignedJobDecision): void => send({ type: 'JobDecision', ...decision });
  const jobs = await SiteJobs.open({
    ...{ store, identity, clock, tell },
    maker: place,
    noted: (note) => decisions.note(note),
  });
  const receipts = new EgressReceipts({
    ...{ store, egress, identity, place },
    head: () => decisions.head,
    noted: (note) => decisions.note({ time: new Date(clock.now()).toISOString(), ...note }),
  });
  const facts = { logId, site, datasets: datasets.map(({ name }) => name), trainer };
  return {
    jobs,
    tell,
    desk: new SiteDesk({ jobs, receipts, decisions, clock, agentId, policy, facts }),
    ended: async ({ round: { jobId }, how }) => {
      await jobs.ended(jobId, how);
      const job = jobs.find(jobId);
      if (job !== undefined) await receipts.settle(job);
    },
  };
}
