import assert from 'node:assert/strict';

import { reportOf } from '@tributary/coordinator/internal/app/round-report.js';
import type { TailMeans } from '@tributary/proto';

const metrics = { rmse: 0.5, mae: 0.25, r2: 0.75 };
const standardErrors = { rmse: 0.125, mae: 0.0625, r2: 0.03125 };
const means: TailMeans = {
  weight: 2,
  loss: 0.25,
  metrics,
  groups: [{ group: { type: 'All' }, metrics, standardErrors }],
};

describe('the report of a round', () => {
  it('gives errors of a regression, and their own, in units of the label; loss and r2 have none', () => {
    const { metrics: told, evaluation } = reportOf(means, { type: 'Regression', center: 7, scale: 4 });
    assert.deepEqual(told, { loss: '0.25', rmse: '2', mae: '1', r2: '0.75' });
    assert.deepEqual(evaluation?.[0]?.metrics, { rmse: '2', mae: '1', r2: '0.75' });
    assert.deepEqual(evaluation[0].standardErrors, { rmse: '0.5', mae: '0.25', r2: '0.03125' });
  });

  it('leaves figures as they are where the label is not scaled', () => {
    assert.equal(reportOf(means, { type: 'Regression' }).metrics['rmse'], '0.5');
    assert.equal(
      reportOf({ ...means, metrics: { auc: 0.5 } }, { type: 'Binary', positive: 'y' }).metrics['auc'],
      '0.5',
    );
  });

  it('has no loss where nobody trained', () => {
    const told = reportOf({ ...means, weight: 0, loss: Number.NaN }, { type: 'Regression' }).metrics;
    assert.deepEqual(Object.keys(told), ['rmse', 'mae', 'r2']);
  });
});
