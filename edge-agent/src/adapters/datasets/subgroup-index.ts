import { DEFAULT_MISSING, presentText, type Row } from '@tributary/proto';

/** Rows whose cell is none of the values. */
export const NO_SUBGROUP = 0xffff;

const MISSING: ReadonlySet<string> = new Set(DEFAULT_MISSING);

/** Which of the values of a column each row has, in the order in which rows were added. */
export class SubgroupIndex {
  readonly column: string;
  readonly #places: ReadonlyMap<string, number>;
  #indices = new Uint16Array(1_024);
  #rows = 0;

  constructor(column: string, values: readonly string[]) {
    this.column = column;
    this.#places = new Map(values.map((value, place) => [value, place]));
  }

  /** Index into the values, or NO_SUBGROUP, of every row. */
  get indices(): Uint16Array {
    return this.#indices.subarray(0, this.#rows);
  }

  add(row: Row): void {
    if (this.#rows === this.#indices.length) {
      const larger = new Uint16Array(2 * this.#rows);
      larger.set(this.#indices);
      this.#indices = larger;
    }
    const text = presentText(row[this.column], MISSING);
    this.#indices[this.#rows] = (text === undefined ? undefined : this.#places.get(text)) ?? NO_SUBGROUP;
    this.#rows += 1;
  }
}
