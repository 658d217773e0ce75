import { API_VERSION, parseFederatedJob, TributaryError, type FederatedJobInput } from '@tributary/proto';
import { Document } from 'yaml';

import type { ColumnProfile } from './column-profile.js';
import { draftFeature, type FeatureDraft } from './feature-draft.js';
import { draftTask, labelColumn } from './task-draft.js';

export interface DraftOptions {
  /** Name of job, dataset and model. */
  readonly name: string;
  /** Column to predict; a customary name is found without it. */
  readonly label?: string | undefined;
}

export interface JobDraft {
  readonly job: FederatedJobInput;
  /** What the author should know before applying it. */
  readonly remarks: readonly string[];
}

/** Width of the hidden layer: enough for tables, small enough for a few hundred rows. */
const HIDDEN_UNITS = 16;

/**
 * A sensible first job for a table: a small network on every usable column, features scaled by statistics of all sites.
 * Throws USAGE or INVALID_ARGUMENT where no column can be predicted, or none is left to predict it from.
 */
export function draftJob(columns: readonly ColumnProfile[], { name, label }: DraftOptions): JobDraft {
  const target = labelColumn(columns, label);
  const { task, output, metrics } = draftTask(target);
  const features: FeatureDraft[] = [];
  const remarks: string[] = [];
  for (const column of columns) {
    if (column === target) continue;
    const draft = draftFeature(column);
    if ('feature' in draft) features.push(draft.feature);
    else remarks.push(`column ${draft.column} is left out: ${draft.leftOut}`);
  }
  if (features.length === 0)
    throw new TributaryError('INVALID_ARGUMENT', 'no column is left to learn from', {
      hint: remarks.join('; '),
    });
  if (task.type === 'Binary') remarks.push(`${target.name} = ${task.positive} is the positive class`);
  if (task.type === 'Regression' && task.scale === undefined)
    remarks.push(`too few rows of ${target.name} to suggest task.center and task.scale`);
  const job: FederatedJobInput = {
    apiVersion: API_VERSION,
    kind: 'FederatedJob',
    metadata: { name },
    spec: {
      task,
      dataset: { name, label: target.name, testFraction: 0.25 },
      features,
      model: {
        name,
        layers: [{ type: 'Dense', units: HIDDEN_UNITS, activation: 'Relu' }, output],
      },
      training: {
        epochs: 2,
        batchSize: 32,
        optimizer: { type: 'Adam', learningRate: 0.003 },
        l2: 0.0005,
      },
      rounds: 20,
      minSites: 2,
      evaluation: { metrics, intervals: true },
      privacy: { secureAggregation: false },
    },
  };
  parseFederatedJob(job);
  remarks.push('with three sites or more, remove the line of privacy: the coordinator then sees sums only');
  return { job, remarks };
}

/** The draft as YAML, its remarks as comments on top. */
export function draftText({ job, remarks }: JobDraft): string {
  // Readers of YAML 1.1 take a bare yes, no or date for something else than text.
  const document = new Document(job, { compat: 'yaml-1.1' });
  document.commentBefore = [
    ' Drafted from a table: read it, change it, then `tributary apply -f` it.',
    ' low and high bound what a row can add to the statistics of all sites; they are rounded, and ten rows or more lie at or beyond each.',
    ...remarks.map((remark) => ` ${remark}`),
  ].join('\n');
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}
