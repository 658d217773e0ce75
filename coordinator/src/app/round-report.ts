import { inLabelUnits, type LearningTask, type TailMeans } from '@tributary/proto';

import type { GroupReport } from '../domain/federation-state.js';

/** What `round.committed` says of the sites' loss and metrics, numbers as shortest decimal strings. */
export interface RoundReport {
  readonly metrics: Readonly<Record<string, string>>;
  readonly evaluation?: readonly GroupReport[];
}

/** The groups are told only where there is more to tell than the means; no loss where nobody trained. Errors of a regression are in units of its label. */
export function reportOf({ loss, metrics, groups }: TailMeans, task: LearningTask): RoundReport {
  const figures = (values: Readonly<Record<string, number>>) => texts(inLabelUnits(task, values));
  const plain = groups.length === 1 && groups[0]?.standardErrors === undefined;
  const evaluation = groups.map((one) => ({
    ...one.group,
    metrics: figures(one.metrics),
    ...(one.standardErrors && { standardErrors: figures(one.standardErrors) }),
  }));
  const losses = Number.isNaN(loss) ? {} : { loss };
  return { metrics: figures({ ...losses, ...metrics }), ...(plain ? {} : { evaluation }) };
}

const texts = (values: Readonly<Record<string, number>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
