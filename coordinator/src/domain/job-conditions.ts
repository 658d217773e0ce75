import type { JobCondition } from '@tributary/proto';

/** One condition of a job as the state keeps it: a metav1.Condition without its generation, which is the job's. */
export interface JobConditionState {
  readonly type: JobCondition['type'];
  readonly status: 'True' | 'False';
  readonly reason: JobCondition['reason'];
  readonly message: string;
  /** Milliseconds: when `status` last changed. */
  readonly changedAt: number;
}
