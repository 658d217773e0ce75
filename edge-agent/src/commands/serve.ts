import { TributaryError, type StreamPipeline } from '@tributary/proto';

import { exportedFit } from '../adapters/files/site-fits-file.js';
import { requireEnrolment } from '../app/enrolment-record.js';
import { REPLICA_DUTY } from '../app/replica-duty.js';
import type { ReplicaConfig } from '../config.js';
import type { Clock } from '../ports.js';
import { runDaemon } from './daemon.js';

/** Runs a replica: a process of a site that answers with what is rolled out, and has no data to train on. */
export function serveCommand(config: ReplicaConfig, options: { readonly clock?: Clock }): Promise<void> {
  return runDaemon(config, () => ({
    ...(options.clock && { clock: options.clock }),
    duty: () => REPLICA_DUTY,
    admit: requireShared,
    siteFit: async ({ data }, manifest) => {
      const { site } = await requireEnrolment(data.store);
      return exportedFit(config.serving.fits, site, manifest);
    },
    close: () => Promise.resolve(),
  }));
}

/** Without a group every replica, and the agent beside them, would answer the same message. */
function requireShared(pipelines: readonly StreamPipeline[]): void {
  const alone = pipelines.find(({ spec }) => spec.source.share === undefined);
  if (alone === undefined) return;
  throw new TributaryError(
    'CONFIG_INVALID',
    `pipeline ${alone.metadata.name}: spec.source.share is missing; name a group, so that one replica answers each message`,
    {
      hint: 'Windows of several messages cannot be shared: leave such a pipeline to the agent of `tributary-agent run`.',
      fields: { field: 'spec.source.share' },
    },
  );
}
