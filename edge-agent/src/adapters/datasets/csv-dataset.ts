import {
  compileFeatures,
  compileLabel,
  TributaryError,
  type CellFault,
  type FeaturePlan,
  type FederatedJobSpec,
  type LabelPlan,
} from '@tributary/proto';

import { isTestRow } from '../../domain/datasets/split.js';
import type { DatasetHandle } from '../../ports.js';
import { readCsv, type CsvRecord } from './csv-records.js';
import { EncodedRows } from './encoded-rows.js';

/** A site's rows as a job sees them, split into what it trains on and what it is measured by. */
export interface EncodedDataset {
  /** Inputs a row. */
  readonly width: number;
  readonly train: EncodedRows;
  readonly test: EncodedRows;
}

/** The parts of a job that decide how its rows are read: two jobs that agree in them share encoded rows. */
export type DatasetSpec = Pick<FederatedJobSpec, 'dataset' | 'features' | 'task'>;

export interface LoadRequest {
  readonly dataset: DatasetHandle;
  readonly spec: DatasetSpec;
}

const FAULTS: Readonly<Record<CellFault, string>> = {
  Missing: 'a label is missing',
  NotANumber: 'not a number',
  NotFinite: 'not a finite number',
  OutsideDomain: 'outside the domain of the transform',
  UnknownClass: 'not one of the classes of the task',
};

/** Records between two calls of `checkpoint`. */
const CHECKPOINT_RECORDS = 1_024;

/**
 * Reads the CSV file of a dataset record by record into two float32 matrices; the split is that of `isTestRow` over
 * the rows after the header. Throws DATASET_INVALID with the line, and the column where one is at fault, never with a
 * part of the file (not even its header: in a file without one, that is a record); DATASET_TOO_SMALL; LIMIT_EXCEEDED;
 * DATASET_UNKNOWN; and whatever `checkpoint`, called now and then, throws.
 */
export async function loadCsvDataset(
  { dataset, spec }: LoadRequest,
  checkpoint: () => void,
): Promise<EncodedDataset> {
  const plan = compileFeatures(spec.features);
  const encoded = {
    width: plan.width,
    train: new EncodedRows(plan.width),
    test: new EncodedRows(plan.width),
  };
  let reader: RowReader | undefined;
  let rows = 0;
  for await (const record of readCsv(dataset.path)) {
    if (reader === undefined) {
      reader = new RowReader(record, plan, spec);
      continue;
    }
    if (rows % CHECKPOINT_RECORDS === 0) checkpoint();
    reader.read(record, isTestRow(spec.dataset, rows) ? encoded.test : encoded.train);
    rows += 1;
  }
  if (reader === undefined)
    throw new TributaryError('DATASET_INVALID', 'the file is empty; its first line names the columns', {
      fields: { fault: 'Empty' },
    });
  requireRows(rows, dataset.minimumRows, encoded);
  return encoded;
}

/** Reads records by the columns that the header names. */
class RowReader {
  readonly #plan: FeaturePlan;
  readonly #label: LabelPlan;
  readonly #labelColumn: string;
  readonly #labelPlace: number;
  readonly #places: readonly (readonly [column: string, place: number])[];
  /** Reused for every record; without a prototype, so that any text may name a column. */
  readonly #row = Object.create(null) as Record<string, string | undefined>;

  constructor(header: CsvRecord, plan: FeaturePlan, spec: DatasetSpec) {
    this.#plan = plan;
    this.#label = compileLabel(spec.task);
    this.#labelColumn = spec.dataset.label;
    this.#labelPlace = placeOf(header, spec.dataset.label);
    this.#places = plan.columns.map((column) => [column, placeOf(header, column)]);
  }

  read({ line, cells }: CsvRecord, rows: EncodedRows): void {
    const label = this.#label.read(cells[this.#labelPlace]);
    if (typeof label === 'string') throw badCell(line, this.#labelColumn, label);
    for (const [column, place] of this.#places) this.#row[column] = cells[place];
    const [issue] = this.#plan.encode(this.#row, rows.append(label), 0);
    if (issue !== undefined) throw badCell(line, issue.column, issue.reason);
  }
}

/** Names from the job may be told; those of the file may not. */
function placeOf({ cells, line }: CsvRecord, column: string): number {
  const place = cells.indexOf(column);
  if (place >= 0 && place === cells.lastIndexOf(column)) return place;
  const [fault, problem] =
    place < 0
      ? ['NoColumn', 'is not in the first line, which must name the columns']
      : ['ColumnTwice', 'is named more than once in the first line'];
  throw new TributaryError('DATASET_INVALID', `column ${JSON.stringify(column)} ${problem}`, {
    fields: { line, column, fault },
  });
}

const badCell = (line: number, column: string, fault: CellFault): TributaryError =>
  new TributaryError(
    'DATASET_INVALID',
    `line ${String(line)}, column ${JSON.stringify(column)}: ${FAULTS[fault]}`,
    {
      fields: { line, column, fault },
    },
  );

function requireRows(rows: number, minimum: number, { train }: EncodedDataset): void {
  if (rows < minimum) {
    // The exact number of rows is the site's own affair.
    throw new TributaryError(
      'DATASET_TOO_SMALL',
      `the dataset has fewer than the ${String(minimum)} rows that the policy of the site demands`,
    );
  }
  if (train.rows === 0) throw new TributaryError('DATASET_TOO_SMALL', 'no row is left to train on');
}
