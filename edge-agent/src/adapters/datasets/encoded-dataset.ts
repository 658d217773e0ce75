import {
  compileFeatures,
  compileLabel,
  TributaryError,
  type CellIssue,
  type FeatureFit,
  type FeaturePlan,
  type FederatedJobSpec,
} from '@tributary/proto';

import type { DatasetHandle } from '../../ports.js';
import { DataVersion } from './data-version.js';
import { EncodedRows } from './encoded-rows.js';
import { openDataset, type DatasetRow } from './open-dataset.js';
import { SubgroupIndex } from './subgroup-index.js';

/** A site's rows as a job sees them, split into what it trains on and what it is measured by. */
export interface EncodedDataset {
  /** Inputs a row. */
  readonly width: number;
  readonly train: EncodedRows;
  readonly test: EncodedRows;
  /** The subgroups of the job, in order: which of its values each test row has. */
  readonly subgroups: readonly SubgroupIndex[];
  /** Salted digest of the rows in `train`. */
  readonly dataVersion: string;
  /** Gives the memory and the file of the rows back. */
  close(): void;
}

/** The parts of a job that decide how its rows are read: two jobs that agree in them share encoded rows. */
export type DatasetSpec = Pick<FederatedJobSpec, 'dataset' | 'features' | 'task' | 'evaluation'>;

export interface LoadRequest {
  readonly dataset: DatasetHandle;
  readonly spec: DatasetSpec;
  /** What the features learned besides the job; none where absent. */
  readonly fit?: FeatureFit;
}

/** Rows between two calls of `checkpoint`. */
const CHECKPOINT_ROWS = 1_024;

/**
 * Reads a dataset row by row into two float32 matrices, which go to a file beyond LIMITS.datasetMemoryBytes. Throws
 * DATASET_INVALID with place and column, never with a part of the data (not even the header of a CSV file: in one
 * without, that is a record); DATASET_TOO_SMALL; LIMIT_EXCEEDED; DATASET_UNKNOWN; and whatever `checkpoint`, called now
 * and then, throws.
 */
export async function loadDataset(
  { dataset, spec, fit }: LoadRequest,
  checkpoint: () => void,
): Promise<EncodedDataset> {
  const open = await openDataset(dataset, spec, checkpoint);
  const encoder = new DatasetEncoder(open.carried, dataset, spec, fit);
  try {
    let rows = 0;
    for await (const row of open.rows()) {
      if (rows % CHECKPOINT_ROWS === 0) checkpoint();
      const issue = encoder.add(row);
      if (issue !== undefined) throw await open.faultAt(row.index, issue.column, issue.reason);
      rows += 1;
    }
    requireRows(rows, dataset.minimumRows, encoder.train);
    return encoder.finish();
  } catch (error) {
    encoder.close();
    throw error;
  } finally {
    await open.close();
  }
}

class DatasetEncoder {
  readonly train: EncodedRows;
  readonly test: EncodedRows;
  readonly #plan: FeaturePlan;
  readonly #label: ReturnType<typeof compileLabel>;
  readonly #labelColumn: string;
  readonly #subgroups: readonly SubgroupIndex[];
  readonly #version: DataVersion;

  constructor(columns: readonly string[], dataset: DatasetHandle, spec: DatasetSpec, fit?: FeatureFit) {
    this.#plan = compileFeatures(spec.features, fit);
    this.#label = compileLabel(spec.task);
    this.#labelColumn = spec.dataset.label;
    this.#subgroups = (spec.evaluation.subgroups ?? []).map(
      ({ column, values }) => new SubgroupIndex(column, values),
    );
    this.#version = new DataVersion(dataset.versionKey, columns);
    this.train = new EncodedRows(this.#plan.width, dataset.scratchDir);
    this.test = new EncodedRows(this.#plan.width, dataset.scratchDir);
  }

  /** The first cell that could not be read, if any: such a row must not be used. */
  add({ row, test }: DatasetRow): CellIssue | undefined {
    const label = this.#label.read(row[this.#labelColumn]);
    if (typeof label === 'string') return { column: this.#labelColumn, reason: label };
    const rows = test ? this.test : this.train;
    const [issue] = this.#plan.encode(row, rows.append(label), 0);
    if (issue !== undefined) return issue;
    if (test) for (const subgroup of this.#subgroups) subgroup.add(row);
    else this.#version.add(row);
    return undefined;
  }

  finish(): EncodedDataset {
    return {
      width: this.#plan.width,
      train: this.train,
      test: this.test,
      subgroups: this.#subgroups,
      dataVersion: this.#version.finish(),
      close: () => {
        this.close();
      },
    };
  }

  close(): void {
    this.train.close();
    this.test.close();
  }
}

/** Throws DATASET_TOO_SMALL where the policy demands more rows, or none is left to train on. */
export function requireRows(rows: number, minimum: number, train: Pick<EncodedRows, 'rows'>): void {
  if (rows < minimum) {
    // The exact number of rows is the site's own affair.
    throw new TributaryError(
      'DATASET_TOO_SMALL',
      `the dataset has fewer than the ${String(minimum)} rows that the policy of the site demands`,
    );
  }
  if (train.rows === 0) throw new TributaryError('DATASET_TOO_SMALL', 'no row is left to train on');
}
