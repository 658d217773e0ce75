import assert from 'node:assert/strict';

import { WorkFigures } from '@tributary/edge-agent/internal/app/work-figures.js';
import { workMetrics } from '@tributary/edge-agent/internal/app/work-metrics.js';
import { roundKey } from '@tributary/edge-agent/internal/domain/round-key.js';

const key = roundKey({ jobId: 'job-x', round: 1, attempt: 0 });

describe('figures of the work for rounds', () => {
  it('count by outcome and code, and time trainings from their start', () => {
    const figures = new WorkFigures();
    figures.asked({ type: 'Train', key }, 1_000);
    figures.observe({ type: 'Trained', key, uploadId: 'upl-x' }, 3_500);
    figures.asked({ type: 'Train', key }, 5_000);
    figures.observe({ type: 'TrainingFailed', key, code: 'TRAINING_FAILED', detail: '' }, 5_500);
    figures.observe({ type: 'UploadFailed', key, code: 'UPDATE_LATE', detail: '' }, 6_000);
    figures.observe({ type: 'UploadFailed', key, code: 'UPDATE_LATE', detail: '' }, 6_000);
    figures.observe({ type: 'Uploaded', key, seq: 7 }, 6_000);
    const order = { type: 'OrderRefused', orderId: 'ord-x', code: 'POLICY_REFUSED', detail: '' } as const;
    figures.observe(order, 7_000);
    figures.observe({ ...order, wait: { reason: 'Schedule', waitMs: 1 } }, 7_000);
    const round = { jobId: 'job-x', round: 2, attempt: 0 };
    const text = workMetrics(figures.counts, [
      { ...round, phase: 'Training' },
      { ...round, phase: 'Queued' },
    ]);
    for (const line of [
      'rounds_queued 1',
      'training_running 1',
      'trainings_total{outcome="completed"} 1',
      'trainings_total{outcome="failed"} 1',
      'training_seconds_total 3',
      'uploads_total 1',
      'uploads_failed_total{code="UPDATE_LATE"} 2',
      'uploads_failed_total{code="UNAVAILABLE"} 0',
      'orders_refused_total{code="POLICY_REFUSED"} 1',
      'orders_waiting_total 1',
    ])
      assert.ok(text.includes(`\ntributary_agent_${line}\n`), `${line} in ${text}`);
  });
});
