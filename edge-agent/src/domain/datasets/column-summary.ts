import { DEFAULT_MISSING, LIMITS, presentText, readDate, readNumber, type Cell } from '@tributary/proto';

import { tellableParts, type TellableCount } from './suppression.js';

/** What all present cells of a column can be read as; Text where they are not all of one other kind. */
export type ContentKind = 'Number' | 'Date' | 'Text' | 'List' | 'Empty';

export interface NumberSummary {
  readonly mean: number;
  readonly standardDeviation: number;
  /** At least minCount rows are at or below `low`, and as many at or above `high`: no single row's value. */
  readonly low: number;
  readonly high: number;
}

export interface ColumnDescription {
  readonly kind: ContentKind;
  readonly present: TellableCount;
  readonly missing: TellableCount;
  /** By frequency, then text; undefined where there are more than LIMITS.columnTexts. */
  readonly values?: readonly { readonly value: string; readonly rows: TellableCount }[];
  /** Values that fewer than minCount rows share, whose texts are not told. */
  readonly suppressedValues?: number;
  readonly numbers?: NumberSummary;
}

const MISSING: ReadonlySet<string> = new Set(DEFAULT_MISSING);

/** Sums up one column, cell by cell, in bounded memory, and tells only what minCount rows share. */
export class ColumnSummary {
  readonly #minCount: number;
  readonly #lows: Extremes;
  readonly #highs: Extremes;
  #values: Map<string, number> | undefined = new Map();
  #missing = 0;
  #present = 0;
  #numbers = 0;
  #dates = 0;
  #lists = 0;
  #mean = 0;
  #squares = 0;

  constructor(minCount: number) {
    this.#minCount = minCount;
    this.#lows = new Extremes(minCount, (a, b) => a - b);
    this.#highs = new Extremes(minCount, (a, b) => b - a);
  }

  add(cell: Cell): void {
    const text = presentText(cell, MISSING);
    if (text === undefined) {
      this.#missing += 1;
      return;
    }
    this.#present += 1;
    if (Array.isArray(cell)) this.#lists += 1;
    this.#count(text);
    const number = readNumber(text);
    if (typeof number === 'number') this.#number(number);
    else if (readDate(text) !== undefined) this.#dates += 1;
  }

  describe(): ColumnDescription {
    const kind = this.#kind();
    const values = kind === 'List' ? undefined : this.#values;
    const sorted = [...(values ?? [])].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    const counts = values === undefined ? [this.#present] : sorted.map(([, rows]) => rows);
    const [missing = 0, ...told] = tellableParts([this.#missing, ...counts], this.#minCount);
    const present = tellableParts([this.#missing, this.#present], this.#minCount)[1] ?? 0;
    const base = {
      kind,
      present: missing === 'Suppressed' && present !== 0 ? 'Suppressed' : present,
      missing,
    } as const;
    const numbers = kind === 'Number' ? this.#numberSummary() : undefined;
    return {
      ...base,
      ...(values === undefined
        ? {}
        : {
            values: sorted.flatMap(([value], place) => {
              const rows = told[place] ?? 0;
              return rows === 'Suppressed' ? [] : [{ value, rows }];
            }),
            suppressedValues: told.filter((rows) => rows === 'Suppressed').length,
          }),
      ...(numbers === undefined ? {} : { numbers }),
    };
  }

  #kind(): ContentKind {
    if (this.#present === 0) return 'Empty';
    if (this.#numbers === this.#present) return 'Number';
    if (this.#dates === this.#present) return 'Date';
    return this.#lists === this.#present ? 'List' : 'Text';
  }

  #count(text: string): void {
    if (this.#values === undefined) return;
    this.#values.set(text, (this.#values.get(text) ?? 0) + 1);
    if (this.#values.size > LIMITS.columnTexts) this.#values = undefined;
  }

  /** Mean and squares about it, one value at a time (B. P. Welford, Technometrics 4, 1962). */
  #number(value: number): void {
    this.#numbers += 1;
    const before = value - this.#mean;
    this.#mean += before / this.#numbers;
    this.#squares += before * (value - this.#mean);
    this.#lows.add(value);
    this.#highs.add(value);
  }

  #numberSummary(): NumberSummary | undefined {
    if (this.#numbers < 2 * this.#minCount) return undefined;
    return {
      mean: this.#mean,
      standardDeviation: Math.sqrt(this.#squares / this.#numbers),
      low: this.#lows.last(),
      high: this.#highs.last(),
    };
  }
}

/** The first `most` values of an order. */
class Extremes {
  readonly #most: number;
  readonly #compare: (a: number, b: number) => number;
  #values: number[] = [];

  constructor(most: number, compare: (a: number, b: number) => number) {
    this.#most = most;
    this.#compare = compare;
  }

  add(value: number): void {
    this.#values.push(value);
    if (this.#values.length >= 2 * this.#most + 64) this.#trim();
  }

  /** The last of them; NaN without any. */
  last(): number {
    this.#trim();
    return this.#values.at(-1) ?? Number.NaN;
  }

  #trim(): void {
    this.#values = this.#values.sort(this.#compare).slice(0, this.#most);
  }
}
