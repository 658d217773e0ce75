import { TributaryError } from '@tributary/proto';

import type { CsvSource } from '../../domain/datasets/declaration.js';
import { scanCsv } from './csv-scan.js';
import type { Place } from './dataset-faults.js';

/** Where data row `index` of a CSV source ends; undefined where the files have changed since. */
export async function csvPlace(
  source: CsvSource,
  files: readonly string[],
  index: number,
): Promise<Place | undefined> {
  let row = 0;
  for (const [number, file] of files.entries()) {
    let header = true;
    for await (const { line } of scanCsv(file, source)) {
      if (!header && row === index) return { line, ...fileOf(files, number) };
      if (!header) row += 1;
      header = false;
    }
  }
  return undefined;
}

/** What is wrong with the form of CSV files, with the line; undefined where the fault is of another kind. */
export async function csvFault(
  source: CsvSource,
  files: readonly string[],
): Promise<TributaryError | undefined> {
  let header: number | undefined;
  for (const [number, file] of files.entries()) {
    try {
      for await (const { line, count } of scanCsv(file, source)) {
        header ??= count;
        if (count !== header) return otherCount(line, fileOf(files, number));
      }
    } catch (error) {
      return TributaryError.from(error);
    }
  }
  return undefined;
}

const fileOf = (files: readonly string[], number: number): { readonly file?: number } =>
  files.length === 1 ? {} : { file: number + 1 };

function otherCount(line: number, file: { readonly file?: number }): TributaryError {
  const where = file.file === undefined ? '' : `file ${String(file.file)}, `;
  return new TributaryError(
    'DATASET_INVALID',
    `${where}line ${String(line)}: another number of cells than the header`,
    { fields: { line, ...file, fault: 'CellCount' } },
  );
}
