import type { ErrorCode, FederatedJobSpec, SitePolicySpec } from '@tributary/proto';

import type { PolicyFacts, PolicyWait } from './policy.js';

/** What a rule makes of a job. */
export interface Judgement {
  /** What was found, for people: names and numbers of the job, never of records. */
  readonly found: string;
  /** False where the job asks for nothing that the rule is about. */
  readonly applies?: boolean;
  readonly refusal?: {
    /** Where it is another than that of the rule. */
    readonly rule?: string;
    readonly code: ErrorCode;
    readonly detail: string;
    readonly wait?: PolicyWait;
  };
}

/** One rule of a policy. `Job` and `Facts` are what it reads of both. */
export interface PolicyRule<Job = FederatedJobSpec, Facts = PolicyFacts> {
  /** Path in the policy document. */
  readonly path: string;
  /** Facts without which it cannot judge. */
  readonly needs: readonly (keyof PolicyFacts)[];
  /** And those without which it cannot under this policy. */
  readonly needsToo?: (policy: SitePolicySpec) => readonly (keyof PolicyFacts)[];
  /** What the policy demands, for people. */
  readonly demands: (policy: SitePolicySpec, job: FederatedJobSpec) => string;
  readonly judge: (policy: SitePolicySpec, job: Job, facts: Facts) => Judgement;
  /** What a refused job would take. */
  readonly fix: string;
}

/** Names for people. */
export const listOf = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.join(', '));

/** A finding that must not be below a minimum. */
export function atLeast(rule: string, minimum: number, value: number, what: string): Judgement {
  const found = `${String(value)} ${what}`;
  return value >= minimum
    ? { found }
    : refused(rule, found, `at least ${String(minimum)}, but there are ${found}`);
}

/** A finding that must not be above a maximum. */
export function atMost(rule: string, maximum: number, value: number, what: string): Judgement {
  const found = `${String(value)} ${what}`;
  return value <= maximum
    ? { found }
    : refused(rule, found, `at most ${String(maximum)}, but there are ${found}`);
}

/** A rule of this path refuses what it found. */
export const refused = (rule: string, found: string, detail: string): Judgement => ({
  found,
  refusal: { code: 'POLICY_REFUSED', detail: `${rule}: ${detail}` },
});
