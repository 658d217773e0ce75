import { breach, type Breach } from './facts.js';

/** What shows that a fault happened: what was seen of it, and how often. */
export interface Evidence {
  readonly what: string;
  readonly count: number;
}

/** A case whose fault did not happen, or left no trace, has shown nothing: it failed. */
export function judgeEvidence(evidence: readonly Evidence[]): readonly Breach[] {
  if (evidence.length === 0) return [breach('missed', 'nothing shows that the fault happened')];
  return evidence
    .filter(({ count }) => !(count > 0))
    .map(({ what }) => breach('missed', `the fault did not happen: no ${what}`));
}

export const evidenceText = (evidence: readonly Evidence[]): string =>
  evidence.map(({ what, count }) => `${String(count)} ${what}`).join(', ');
