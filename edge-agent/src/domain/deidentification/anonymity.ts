import { LIMITS, TributaryError, type Cell, type Row } from '@tributary/proto';

/**
 * Counts combinations of quasi-identifiers. After every row was added, a combination that fewer than k rows share is
 * rare: its rows stand out (L. Sweeney, "k-anonymity", 2002). Missing cells are a value of their own.
 */
export class CombinationCounts {
  readonly #columns: readonly string[];
  readonly #counts = new Map<string, number>();

  constructor(quasiIdentifiers: readonly string[]) {
    this.#columns = quasiIdentifiers;
  }

  /** Throws LIMIT_EXCEEDED where the combinations are too many to be counted: then hardly one is shared. */
  add(row: Row): void {
    const key = this.#keyOf(row);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    if (this.#counts.size > LIMITS.quasiCombinations)
      throw new TributaryError(
        'LIMIT_EXCEEDED',
        `the quasi-identifiers have more than ${String(LIMITS.quasiCombinations)} combinations; generalise them further`,
      );
  }

  isRare(row: Row, k: number): boolean {
    return (this.#counts.get(this.#keyOf(row)) ?? 0) < k;
  }

  /** Rows in combinations that fewer than k share. */
  rareRows(k: number): number {
    let rows = 0;
    for (const count of this.#counts.values()) if (count < k) rows += count;
    return rows;
  }

  #keyOf(row: Row): string {
    return JSON.stringify(this.#columns.map((column) => cellKey(row[column])));
  }
}

const cellKey = (cell: Cell): unknown => (cell === undefined || cell === '' ? null : cell);
