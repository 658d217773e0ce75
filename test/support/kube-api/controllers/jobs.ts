import { field } from '../../kube/field.js';
import type { Api } from '../api.js';
import { isOwnedBy, timestamp, type KubeObject } from '../objects.js';
import { condition, createPod } from './deployments.js';
import { forEach } from './loop.js';

const WRITING = { manager: 'kube-controller-manager', subresource: 'status' } as const;

/** Runs Jobs, one pod after the other, up to their number of failures. */
export async function keepJobs(api: Api): Promise<void> {
  await forEach(api.store.list(api.kinds.named('Job')), async (job) => {
    if (job.metadata.deletionTimestamp !== undefined) return;
    const pods = api.store
      .list(api.kinds.named('Pod'), job.metadata.namespace)
      .filter((pod) => isOwnedBy(pod, job));
    const inPhase = (phase: string): number =>
      pods.filter((pod) => field(pod, 'status', 'phase') === phase).length;
    const [succeeded, failed] = [inPhase('Succeeded'), inPhase('Failed')];
    const active = pods.length - succeeded - failed;
    const isFailed = failed > Number(field(job, 'spec', 'backoffLimit') ?? 6);
    if (succeeded === 0 && active === 0 && !isFailed) await createPod(api, job);
    await report(api, job, { active, succeeded, failed }, isFailed);
  });
}

async function report(
  api: Api,
  job: KubeObject,
  counts: { readonly active: number; readonly succeeded: number; readonly failed: number },
  isFailed: boolean,
): Promise<void> {
  await api.edit(
    api.kinds.named('Job'),
    job,
    (object) => {
      const ended = isFailed ? ['Failed'] : counts.succeeded > 0 ? ['Complete'] : [];
      const { lastUpdateTime, ...rest } = condition(object, ended[0] ?? '', true, 'Ended');
      void lastUpdateTime;
      const startTime = field(object, 'status', 'startTime') ?? timestamp();
      object['status'] = { ...counts, startTime, conditions: ended.map(() => rest) };
    },
    WRITING,
  );
}
