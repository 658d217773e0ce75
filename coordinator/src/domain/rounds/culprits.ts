import type { EntryBody } from '@tributary/proto';

import type { JobState } from '../federation-state.js';

/** What the ledger says of a site that cannot be honest: in which stage of a secure round it did what. */
export type RoundCulprit = NonNullable<EntryBody<'round.failed'>['culprits']>[number];

/** What a site is blamed for in the rounds of a job. */
export interface SiteBlame {
  /** How many attempts named it. */
  readonly strikes: number;
  /** The newest of them, and why. */
  readonly round: number;
  readonly attempt: number;
  readonly stage: string;
  readonly reason: string;
  /** Whether an attempt was opened without it since. */
  readonly satOut: boolean;
}

type Blamed = Pick<JobState, 'blamed'>;

/** With the first strike a site sits one attempt out, with the second it is out of the job. */
const STRIKES_OUT = 2;

/** The job after an attempt that ended with these culprits. */
export function blame<Job extends Blamed>(
  job: Job,
  { round, attempt, culprits }: Pick<EntryBody<'round.failed'>, 'round' | 'attempt' | 'culprits'>,
): Job {
  if (culprits === undefined) return job;
  const blamed = new Map(job.blamed);
  for (const { site, stage, reason } of culprits) {
    const strikes = (blamed.get(site)?.strikes ?? 0) + 1;
    blamed.set(site, { strikes, round, attempt, stage, reason, satOut: false });
  }
  return { ...job, blamed };
}

/** The job after an attempt was opened: without those who were to sit it out. */
export function sitOut<Job extends Blamed>(job: Job): Job {
  if (job.blamed === undefined) return job;
  return { ...job, blamed: new Map([...job.blamed].map(([site, one]) => [site, { ...one, satOut: true }])) };
}

/** By site: why the next attempt leaves it out. */
export function blamedSites({ blamed }: Blamed): ReadonlyMap<string, string> {
  const out = [...(blamed ?? [])].filter(([, { strikes, satOut }]) => strikes >= STRIKES_OUT || !satOut);
  return new Map(out.map(([site, one]) => [site, describeBlame(one)] as const));
}

function describeBlame({ strikes, round, attempt, stage, reason }: SiteBlame): string {
  const from = strikes >= STRIKES_OUT ? 'the job' : 'the next attempt';
  const where = `stage ${stage} of round ${String(round)}, attempt ${String(attempt)}`;
  return `is left out of ${from}: ${reason} in ${where}`;
}
