import type { Predictions } from '@tributary/edge-agent/internal/domain/metrics/predictions.js';
import type { DatasetHandle } from '@tributary/edge-agent/internal/ports.js';
import { featureColumns, type Cell, type FederatedJobSpec } from '@tributary/proto';

import { rowsOf } from '../../support/dataset-rows.js';

/** A row of the test split, and what the evaluation of the demo made of it. */
export interface HeldOutRecord {
  /** Cells of the model's features: the label is not among them. */
  readonly cells: Readonly<Record<string, Cell>>;
  readonly score: number;
  /** 1 for the positive class. */
  readonly label: number;
}

/** The test rows of a site in the order of `offline`, their evaluation under the weights of the federation. */
export async function heldOutRecords(
  handle: DatasetHandle,
  spec: FederatedJobSpec,
  { scores, labels }: Predictions,
): Promise<readonly HeldOutRecord[]> {
  const rows = (await rowsOf(handle, spec)).filter(({ test }) => test);
  if (rows.length !== scores.length)
    throw new Error(`${String(rows.length)} test rows, ${String(scores.length)} evaluated`);
  const numbers = new Set(spec.features.flatMap(({ type, name }) => (type === 'Numeric' ? [name] : [])));
  const columns = featureColumns(spec.features);
  const { positive } = spec.task as { readonly positive?: string };
  return rows.map(({ cells }, index) => {
    const label = labels[index] ?? Number.NaN;
    if (Number(cells[spec.dataset.label] === positive) !== label)
      throw new Error(`test row ${String(index)} is another than the one that was evaluated`);
    const taken = columns.map((name) => [name, numbers.has(name) ? numberOf(cells[name]) : cells[name]]);
    return {
      cells: Object.fromEntries(taken) as Readonly<Record<string, Cell>>,
      score: scores[index] ?? Number.NaN,
      label,
    };
  });
}

/** A device sends numbers where a CSV file has texts; what is none stays as it is. */
function numberOf(cell: Cell): Cell {
  if (typeof cell !== 'string' || cell.trim() === '') return cell;
  const value = Number(cell);
  return Number.isFinite(value) ? value : cell;
}
