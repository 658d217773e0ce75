import {
  planStages,
  type AggregationMode,
} from '@tributary/coordinator/internal/domain/rounds/aggregation-mode.js';

import { FederationWorld, idOf, keyNamed } from './federation-world.js';

/** A mode that no job asks for, with messages before and after the updates: it exercises the machine, not a protocol. */
export const THREE_STAGES: AggregationMode = {
  name: 'dummy',
  stages: [
    { name: 'advertise', reports: 'message', share: 0.2 },
    { name: 'collect', reports: 'update', share: 0.5 },
    { name: 'confirm', reports: 'message', share: 0.3 },
  ],
};

/** A world whose job `loans` has its first round open in that mode, with a deadline of 100 seconds. */
export function stagedWorld(
  mode: AggregationMode,
  sites: readonly string[],
  minimum = 2,
  target = 0,
): FederationWorld {
  const world = FederationWorld.withSites(...sites);
  world.submit('loans', { minSites: minimum, cohortSize: target, rounds: 1 });
  world.perform(world.until('start-job'));
  const jobId = idOf('job', 'loans');
  const { base } = world.job('loans');
  if (base === undefined) throw new Error('the job has not started');
  world.record([
    {
      type: 'round.opened',
      actor: 'coordinator',
      subject: `job/${jobId}`,
      body: {
        jobId,
        round: 1,
        attempt: 0,
        mode: mode.name,
        stages: planStages(mode, 100_000, minimum),
        cohort: sites.map((site) => ({ site, agentId: idOf('agt', site) })),
        baseDigest: base.modelDigest,
        layoutDigest: base.layoutDigest,
        vectorLength: base.parameters + 3,
        roundKey: keyNamed('round'),
      },
    },
  ]);
  return world;
}
