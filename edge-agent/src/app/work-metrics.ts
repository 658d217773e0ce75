import type { ErrorCode } from '@tributary/proto';

import type { RoundStatus } from './status.js';
import { metric } from './status.js';
import type { WorkCounts } from './work-figures.js';

type Sample = readonly [labels: string, value: number];

/** Codes that alerts and panels ask for before they have happened: a counter without a zero has no first increase. */
const UPLOAD_CODES: readonly ErrorCode[] = ['UNAVAILABLE', 'UPDATE_LATE', 'UPDATE_WRONG_ROUND'];
const ORDER_CODES: readonly ErrorCode[] = ['POLICY_REFUSED', 'SIGNATURE_INVALID', 'PROOF_INVALID'];

/** What a training agent does for rounds, for Prometheus (text format 0.0.4). */
export function workMetrics(counts: WorkCounts, rounds: readonly RoundStatus[]): string {
  const name = (suffix: string): string => `tributary_agent_${suffix}`;
  const inPhase = (phase: string): number => rounds.filter((round) => round.phase === phase).length;
  return [
    ...metric(name('rounds_queued'), 'gauge', 'Rounds that wait for the training before them.', [
      ['', inPhase('Queued')],
    ]),
    ...metric(name('training_running'), 'gauge', 'Whether the work of a round is going on.', [
      ['', inPhase('Training')],
    ]),
    ...metric(
      name('trainings_total'),
      'counter',
      'Trainings, statistics and evaluations of rounds that ended.',
      [
        ['{outcome="completed"}', counts.trained],
        ['{outcome="failed"}', counts.trainingFailed],
      ],
    ),
    ...metric(name('training_seconds_total'), 'counter', 'Seconds that they took.', [
      ['', counts.trainingSeconds],
    ]),
    ...metric(name('uploads_total'), 'counter', 'Updates that the coordinator has accepted.', [
      ['', counts.uploaded],
    ]),
    ...metric(
      name('uploads_failed_total'),
      'counter',
      'Uploads that failed or were refused; each try counts.',
      byCode(counts.uploadsFailed, UPLOAD_CODES),
    ),
    ...metric(name('orders_allowed_total'), 'counter', 'Orders of rounds that the site allowed.', [
      ['', counts.ordersAllowed],
    ]),
    ...metric(
      name('orders_refused_total'),
      'counter',
      'Orders that the site refused.',
      byCode(counts.ordersRefused, ORDER_CODES),
    ),
    ...metric(name('orders_waiting_total'), 'counter', 'Orders put off for an approval or a schedule.', [
      ['', counts.ordersWaiting],
    ]),
    '',
  ].join('\n');
}

function byCode(counts: ReadonlyMap<ErrorCode, number>, always: readonly ErrorCode[]): readonly Sample[] {
  const codes = [...new Set([...always, ...counts.keys()])].sort();
  return codes.map((code) => [`{code="${code}"}`, counts.get(code) ?? 0]);
}
