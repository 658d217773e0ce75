import { openDataset } from '@tributary/edge-agent/internal/adapters/datasets/open-dataset.js';
import type { ColumnUse } from '@tributary/edge-agent/internal/domain/datasets/job-columns.js';
import type { DatasetHandle } from '@tributary/edge-agent/internal/ports.js';
import type { Cell } from '@tributary/proto';

/** A row as a plain object. */
export interface CopiedRow {
  readonly cells: Readonly<Record<string, Cell>>;
  readonly test: boolean;
  readonly index: number;
}

/** All rows of a dataset, copied. */
export async function rowsOf(handle: DatasetHandle, job?: ColumnUse): Promise<readonly CopiedRow[]> {
  const dataset = await openDataset(handle, job);
  try {
    const rows: CopiedRow[] = [];
    for await (const { row, test, index } of dataset.rows()) rows.push({ cells: { ...row }, test, index });
    return rows;
  } finally {
    await dataset.close();
  }
}
