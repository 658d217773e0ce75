import { needsEvaluation, type ErrorCode, type JobCondition } from '@tributary/proto';

import type { JobState } from './federation-state.js';
import { measurementOf, nextRound } from './rounds/next-round.js';
import { isUnfinished } from './rounds/round-progress.js';

/** One condition of a job as the state keeps it: a metav1.Condition without its generation, which is the job's. */
export interface JobConditionState {
  readonly type: JobCondition['type'];
  readonly status: 'True' | 'False';
  readonly reason: JobCondition['reason'];
  readonly message: string;
  /** Milliseconds: when `status` last changed. */
  readonly changedAt: number;
}

/** A job whose conditions are still to be judged. */
export type JobFacts = Omit<JobState, 'conditions'>;

type Judged = Omit<JobConditionState, 'changedAt'>;

/** The five conditions of a job, judged from its facts. `previous` gives the times of those that stay as they were. */
export function jobConditions(
  job: JobFacts,
  previous: readonly JobConditionState[],
  at: number,
): readonly JobConditionState[] {
  return [accepted, running, suspended, complete, failed].map((judge) => {
    const judged = judge(job);
    const before = previous.find(({ type }) => type === judged.type);
    return { ...judged, changedAt: before?.status === judged.status ? before.changedAt : at };
  });
}

const accepted = (): Judged => ({
  type: 'Accepted',
  status: 'True',
  reason: 'DocumentValid',
  message: 'The document is valid and its signature verifies.',
});

function running(job: JobFacts): Judged {
  const is = (status: 'True' | 'False', reason: Judged['reason'], message: string): Judged => ({
    type: 'Running',
    status,
    reason,
    message,
  });
  switch (job.phase) {
    case 'Queued':
      return is('False', 'WaitingForTurn', 'Another job runs; this one is in the queue.');
    case 'Suspended':
      return isUnfinished(job.round)
        ? is('False', 'Suspended', 'The open round ends; no further one opens.')
        : is('False', 'Suspended', 'No round opens until the job is resumed.');
    case 'Running':
      if (!isUnfinished(job.round))
        return is(
          'True',
          'WaitingForSites',
          'The next round opens when enough selected sites are connected.',
        );
      return job.round.kind === 'Evaluation'
        ? is('True', 'Evaluating', 'All rounds are committed; the sites measure the model.')
        : is('True', 'RoundOpen', `Round ${String(job.round.round)} is open.`);
    case 'Complete':
    case 'Failed':
      return is('False', 'Finished', 'The job has ended.');
  }
}

function suspended({ phase }: JobFacts): Judged {
  if (phase === 'Suspended') {
    return {
      type: 'Suspended',
      status: 'True',
      reason: 'SuspendedByOperator',
      message: 'Resume the job to go on.',
    };
  }
  return { type: 'Suspended', status: 'False', reason: 'NotSuspended', message: '' };
}

function complete(job: JobFacts): Judged {
  const { phase, model } = job;
  if (phase === 'Complete') {
    const name = model === undefined ? 'the model' : `${model.name} version ${String(model.version)}`;
    const done = { type: 'Complete', status: 'True' } as const;
    if (!needsEvaluation(job.document.spec) || measurementOf(job) !== undefined)
      return { ...done, reason: 'AllRoundsCommitted', message: `Registered ${name}.` };
    const why = `Registered ${name}, which was not measured: ${whyNotMeasured(job)}`;
    return { ...done, reason: 'ModelNotMeasured', message: why };
  }
  const reason = phase === 'Failed' ? 'Failed' : 'NotFinished';
  return { type: 'Complete', status: 'False', reason, message: '' };
}

/** The metrics of such a job are those of the model that its last round began with. */
function whyNotMeasured({ lastFailure, ...job }: JobFacts): string {
  if (lastFailure === undefined || lastFailure.round !== nextRound(job).round)
    return 'no round of evaluation was held; the metrics are of the model before the last round.';
  return `the metrics are of the model before the last round. The evaluation: ${lastFailure.code}: ${lastFailure.detail}`;
}

function failed({ phase, lastFailure }: JobFacts): Judged {
  if (phase !== 'Failed') {
    const reason = phase === 'Complete' ? 'Complete' : 'NotFinished';
    return { type: 'Failed', status: 'False', reason, message: '' };
  }
  const { code, detail } = lastFailure ?? { code: 'INTERNAL', detail: '' };
  return {
    type: 'Failed',
    status: 'True',
    reason: failureReason(code),
    message: detail === '' ? code : `${code}: ${detail}`,
  };
}

function failureReason(code: ErrorCode): Judged['reason'] {
  if (code === 'JOB_DEADLINE') return 'DeadlineExceeded';
  if (code === 'JOB_CANCELLED') return 'Cancelled';
  return code === 'JOB_RETRIES_EXHAUSTED' ? 'RetriesExhausted' : 'InternalError';
}
