import { openDataset } from '../adapters/datasets/open-dataset.js';
import { ColumnSummary, type ColumnDescription } from '../domain/datasets/column-summary.js';
import { tellable, type TellableCount } from '../domain/datasets/suppression.js';
import type { DatasetHandle } from '../ports.js';

/** What may be told of a dataset: as jobs see it, and nothing that fewer than minCount rows share. */
export interface DatasetDescription {
  readonly name: string;
  readonly rows: TellableCount;
  readonly minCount: number;
  readonly columns: readonly (ColumnDescription & { readonly name: string; readonly type: string })[];
}

/** Reads a dataset once; rejects as openDataset does. */
export async function describeDataset(handle: DatasetHandle): Promise<DatasetDescription> {
  const { minCount } = handle;
  const dataset = await openDataset(handle, undefined);
  try {
    const summaries = dataset.carried.map((name) => ({
      name,
      type: dataset.columns.find((column) => column.name === name)?.type ?? '',
      summary: new ColumnSummary(minCount),
    }));
    let rows = 0;
    for await (const { row } of dataset.rows()) {
      rows += 1;
      for (const { name, summary } of summaries) summary.add(row[name]);
    }
    const columns = summaries.map(({ name, type, summary }) => ({ name, type, ...summary.describe() }));
    return { name: handle.name, rows: tellable(rows, minCount), minCount, columns };
  } finally {
    await dataset.close();
  }
}

/** The description for people. */
export function descriptionText({ name, rows, minCount, columns }: DatasetDescription): string {
  const lines = [
    `Dataset ${name}: ${countText(rows, minCount)} rows. Counts from 1 to ${String(minCount - 1)} are suppressed.`,
    ...columns.flatMap((column) => columnLines(column, minCount)),
  ];
  return `${lines.join('\n')}\n`;
}

export const countText = (count: TellableCount, minCount: number): string =>
  count === 'Suppressed' ? `suppressed (under ${String(minCount)} or next to it)` : String(count);

/** Values of one column that are listed for people; JSON lists them all. */
const VALUES_SHOWN = 20;

function columnLines(column: DatasetDescription['columns'][number], minCount: number): readonly string[] {
  const { name, type, kind, present, missing, values, suppressedValues, numbers } = column;
  const head = `  ${name} (${type}, ${kind}): ${countText(present, minCount)} present, ${countText(missing, minCount)} missing`;
  const lines = [head];
  if (numbers !== undefined) {
    const { mean, standardDeviation, low, high } = numbers;
    lines.push(
      `    mean ${figure(mean)}, standard deviation ${figure(standardDeviation)}, from ${figure(low)} to ${figure(high)} (${String(minCount)} rows at or beyond each)`,
    );
  }
  if (values === undefined)
    return kind === 'List' ? lines : [...lines, '    too many different values to list'];
  if (kind === 'Number' && values.length > VALUES_SHOWN) return lines;
  for (const { value, rows } of values.slice(0, VALUES_SHOWN))
    lines.push(`    ${JSON.stringify(value)}: ${countText(rows, minCount)}`);
  if (values.length > VALUES_SHOWN) lines.push(`    and ${String(values.length - VALUES_SHOWN)} more values`);
  if ((suppressedValues ?? 0) > 0) lines.push(`    values suppressed: ${String(suppressedValues)}`);
  return lines;
}

const figure = (value: number): string => String(Number(value.toPrecision(6)));
