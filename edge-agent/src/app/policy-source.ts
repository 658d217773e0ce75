import { TributaryError, type Digest, type SitePolicySpec } from '@tributary/proto';

import type { Log } from './log.js';

/** The policy in force, read anew for every order: editing the file needs no restart. */
export interface PolicySource {
  /** Undefined where the site has none. Rejects where there is one that cannot be read. */
  read(): Promise<{ readonly spec: SitePolicySpec; readonly digest: Digest } | undefined>;
}

/** What stands in the log of decisions of the policy by which one was taken. */
export interface PolicyInForce {
  /** The error where there is a policy that cannot be used, undefined where there is none: both refuse everything. */
  readonly policy: SitePolicySpec | TributaryError | undefined;
  readonly digest: Digest | '';
}

/** Reads the policy; one that cannot be used is said in the log, with what it refuses. Never rejects. */
export async function policyInForce(
  { policy: source, log }: { readonly policy: PolicySource; readonly log: Log },
  refused: 'job' | 'rollout',
): Promise<PolicyInForce> {
  try {
    const policy = await source.read();
    return { policy: policy?.spec, digest: policy?.digest ?? '' };
  } catch (error) {
    const policy = TributaryError.from(error);
    const { code, message: detail, hint } = policy;
    log.error({ code, detail, hint }, `the policy cannot be used: every ${refused} is refused`);
    return { policy, digest: '' };
  }
}
