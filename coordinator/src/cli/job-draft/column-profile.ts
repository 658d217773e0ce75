import { dayNumber, DEFAULT_MISSING, presentText, readDate, readNumber } from '@tributary/proto';

/**
 * Rows that must share a category, or lie beyond a bound, before either is written into a job: the default minCount of
 * a site's policy. A draft travels; what fewer rows show stays where the rows are.
 */
export const SHARED_ROWS = 10;

/** Different values that are told apart; a column with more is not one of categories. */
const MOST_VALUES = 1_000;

const MISSING: ReadonlySet<string> = new Set(DEFAULT_MISSING);

/** What one column looks like, gathered cell by cell in memory that does not grow with the rows. */
export class ColumnProfile {
  readonly name: string;
  #rows = 0;
  #present = 0;
  #numbers = 0;
  #integers = 0;
  #dates = 0;
  #ascending = 0;
  #last = Number.NEGATIVE_INFINITY;
  #counts: Map<string, number> | undefined = new Map();
  readonly #numbersSeen = new Spread();
  readonly #datesSeen = new Spread();

  constructor(name: string) {
    this.name = name;
  }

  add(cell: string | undefined): void {
    this.#rows += 1;
    const text = presentText(cell, MISSING);
    if (text === undefined) return;
    this.#present += 1;
    this.#countValue(text);
    const value = readNumber(text);
    if (typeof value === 'number') this.#addNumber(value);
    const date = readDate(text);
    if (date?.day !== undefined) {
      this.#dates += 1;
      this.#datesSeen.add(dayNumber(date));
    }
  }

  /** Rows with a value. */
  get present(): number {
    return this.#present;
  }

  get missing(): number {
    return this.#rows - this.#present;
  }

  /** Rows by value, the most frequent first; undefined where there are too many different values. */
  get values(): readonly (readonly [value: string, rows: number])[] | undefined {
    if (this.#counts === undefined) return undefined;
    return [...this.#counts].sort(([a, left], [b, right]) => right - left || (a < b ? -1 : 1));
  }

  get isNumeric(): boolean {
    return this.#present > 0 && this.#numbers === this.#present;
  }

  get isInteger(): boolean {
    return this.isNumeric && this.#integers === this.#present;
  }

  get isDate(): boolean {
    return this.#present > 0 && this.#dates === this.#present;
  }

  /** A number that grows from each row to the next, as serial numbers do. */
  get isSerial(): boolean {
    return this.isInteger && this.#present > SHARED_ROWS && this.#ascending === this.#present;
  }

  /** Of the numbers of the column. */
  get numbers(): Spread {
    return this.#numbersSeen;
  }

  /** Of its dates, in days since 1970-01-01. */
  get dates(): Spread {
    return this.#datesSeen;
  }

  #addNumber(value: number): void {
    this.#numbers += 1;
    if (Number.isInteger(value)) this.#integers += 1;
    if (value > this.#last) this.#ascending += 1;
    this.#last = value;
    this.#numbersSeen.add(value);
  }

  #countValue(text: string): void {
    if (this.#counts === undefined) return;
    this.#counts.set(text, (this.#counts.get(text) ?? 0) + 1);
    if (this.#counts.size > MOST_VALUES) this.#counts = undefined;
  }
}

/** Where numbers lie, in one pass. */
export class Spread {
  #count = 0;
  #mean = 0;
  #second = 0;
  #third = 0;
  #smallest = Number.POSITIVE_INFINITY;
  /** The SHARED_ROWS smallest and largest, the innermost first. */
  readonly #low: number[] = [];
  readonly #high: number[] = [];

  /** One-pass central moments (Terriberry's extension of Welford, 2007). */
  add(value: number): void {
    const before = this.#count;
    this.#count += 1;
    const delta = value - this.#mean;
    const step = delta / this.#count;
    const term = delta * step * before;
    this.#mean += step;
    this.#third += term * step * (this.#count - 2) - 3 * step * this.#second;
    this.#second += term;
    this.#smallest = Math.min(this.#smallest, value);
    keep(this.#low, value, (a, b) => b - a);
    keep(this.#high, value, (a, b) => a - b);
  }

  /** No value lies below 0. */
  get isNonNegative(): boolean {
    return this.#count > 0 && this.#smallest >= 0;
  }

  /** Third standardised moment; 0 where nothing varies. */
  get skewness(): number {
    if (this.#second === 0) return 0;
    return (Math.sqrt(this.#count) * this.#third) / this.#second ** 1.5;
  }

  /**
   * Round numbers around the values, leaving SHARED_ROWS of them at or beyond each bound before rounding, so that no
   * single row is told. Undefined where there are fewer rows or nothing varies.
   */
  get bounds(): { readonly low: number; readonly high: number } | undefined {
    const [low] = this.#low;
    const [high] = this.#high;
    if (this.#count < 2 * SHARED_ROWS || low === undefined || high === undefined || low >= high)
      return undefined;
    const unit = 10 ** (Math.floor(Math.log10(high - low)) - 1);
    return { low: rounded(Math.floor(low / unit), unit), high: rounded(Math.ceil(high / unit), unit) };
  }
}

/** Keeps the first SHARED_ROWS values of the reverse order in `kept`, which is sorted by `order`. */
function keep(kept: number[], value: number, order: (a: number, b: number) => number): void {
  if (kept.length === SHARED_ROWS && order(value, kept[0] ?? value) <= 0) return;
  if (kept.length === SHARED_ROWS) kept.shift();
  const place = kept.findIndex((other) => order(value, other) < 0);
  kept.splice(place < 0 ? kept.length : place, 0, value);
}

/** units * unit without the noise of binary fractions: 0.3, not 0.30000000000000004. */
const rounded = (units: number, unit: number): number => Number((units * unit).toPrecision(12));
