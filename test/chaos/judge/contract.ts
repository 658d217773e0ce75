import { breach, type Breach, type Facts } from './facts.js';
import { judgeLedger } from './ledger.js';
import { judgeModels, judgeTrainings } from './models.js';
import { entriesOf, judgeJobs, judgeReceipts, judgeUpdates } from './rounds.js';

/** The recovery contract, on what a case left behind. None: it held. */
export function judge(facts: Facts): readonly Breach[] {
  return [
    ...judgeLedger(facts),
    ...judgeJobs(facts),
    ...judgeUpdates(facts),
    ...judgeReceipts(facts),
    ...judgeModels(facts),
    ...judgeTrainings(facts),
    ...facts.complaints.map((complaint) => breach('process', complaint)),
  ];
}

/**
 * The longest time, in seconds, from a start of a process to the next entry about a job that was still running; 0 where
 * nothing was waited for. `startsMs`: milliseconds since the epoch, by the clock that the ledger uses.
 */
export function recoverySeconds(
  { entries, jobs }: Pick<Facts, 'entries' | 'jobs'>,
  startsMs: readonly number[],
): number {
  const steps = entries
    .filter((entry) => 'jobId' in entry.body && jobs.includes(entry.body.jobId))
    .map(({ time }) => Date.parse(time));
  const waits = startsMs.map((start) => (steps.find((time) => time >= start) ?? start) - start);
  return Math.max(0, ...waits) / 1_000;
}

/** How many updates the ledger accepted. */
export const acceptedUpdates = ({ entries }: Pick<Facts, 'entries'>): number =>
  entriesOf(entries, 'update.accepted').length;
