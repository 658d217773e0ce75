import type { PredictionFigures, PredictorFigures } from '../serving-ports.js';
import { metric } from './status.js';

type Sample = readonly [labels: string, value: number];

/** The figures of predictions for Prometheus (text format 0.0.4). */
export function predictionMetrics({ models, waitingRows, restarts }: PredictorFigures): string {
  const each = (value: (figures: PredictionFigures) => number): readonly Sample[] =>
    models.map((figures) => [`{model="${figures.model}"}`, value(figures)]);
  const quantiles = models
    .filter(({ p50Ms }) => Number.isFinite(p50Ms))
    .flatMap(({ model, p50Ms, p99Ms }): Sample[] => [
      [`{model="${model}",quantile="0.5"}`, p50Ms / 1_000],
      [`{model="${model}",quantile="0.99"}`, p99Ms / 1_000],
    ]);
  const name = (suffix: string): string => `tributary_agent_predictions_${suffix}`;
  return [
    ...metric(
      name('requests_total'),
      'counter',
      'Requests for predictions.',
      each((of) => of.requests),
    ),
    ...metric(
      name('rows_total'),
      'counter',
      'Rows of requests.',
      each((of) => of.rows),
    ),
    ...metric(
      name('batches_total'),
      'counter',
      'Batches that were scored.',
      each((of) => of.batches),
    ),
    ...metric(
      name('refused_total'),
      'counter',
      'Requests refused, too many waited.',
      each((of) => of.refused),
    ),
    ...metric(
      name('failed_total'),
      'counter',
      'Requests that failed otherwise.',
      each((of) => of.failed),
    ),
    ...metric(
      name('issues_total'),
      'counter',
      'Cells that could not be read.',
      each((of) => of.issues),
    ),
    ...metric(name('latency_seconds'), 'summary', 'Quantiles over the newest requests.', quantiles),
    ...metric(name('waiting_rows'), 'gauge', 'Rows that wait for a batch.', [['', waitingRows]]),
    ...metric(name('worker_restarts_total'), 'counter', 'Inference workers replaced.', [['', restarts]]),
    '',
  ].join('\n');
}
