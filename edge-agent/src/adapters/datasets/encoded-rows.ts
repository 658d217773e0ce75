import { LIMITS, TributaryError } from '@tributary/proto';

/** Bytes of one block of rows: large enough to be few, small enough that the last one wastes little. */
const BLOCK_BYTES = 4 * 1024 * 1024;

/**
 * Encoded rows of a dataset: a float32 matrix and one float32 label a row, in blocks, so that it grows without being
 * copied and is held once.
 */
export class EncodedRows {
  /** Values a row, at least 1. */
  readonly width: number;
  readonly #blocks: Float32Array[] = [];
  readonly #labels: Float32Array[] = [];
  readonly #rowsPerBlock: number;
  #rows = 0;

  constructor(width: number) {
    this.width = width;
    this.#rowsPerBlock = Math.max(1, Math.floor(BLOCK_BYTES / (width * Float32Array.BYTES_PER_ELEMENT)));
  }

  get rows(): number {
    return this.#rows;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#blocks.length * this.#rowsPerBlock * (this.width + 1) * Float32Array.BYTES_PER_ELEMENT;
  }

  /** Adds a row with `label`; returns its `width` values, zero, for the caller to fill in. */
  append(label: number): Float32Array {
    const place = this.#rows % this.#rowsPerBlock;
    if (place === 0) this.#addBlock();
    this.#rows += 1;
    const labels = this.#labels.at(-1) ?? new Float32Array();
    labels[place] = label;
    const block = this.#blocks.at(-1) ?? new Float32Array();
    return block.subarray(place * this.width, (place + 1) * this.width);
  }

  /** Copies row `row` to row `target` of `matrix` (row-major) and `labels`. */
  copyRow(row: number, target: number, matrix: Float32Array, labels: Float32Array): void {
    const block = Math.floor(row / this.#rowsPerBlock);
    const place = row % this.#rowsPerBlock;
    const values = this.#blocks[block];
    if (values === undefined || row >= this.#rows)
      throw new TributaryError('INTERNAL', 'a row beyond the end of the dataset');
    matrix.set(values.subarray(place * this.width, (place + 1) * this.width), target * this.width);
    labels[target] = this.#labels[block]?.[place] ?? Number.NaN;
  }

  #addBlock(): void {
    this.#blocks.push(new Float32Array(this.#rowsPerBlock * this.width));
    this.#labels.push(new Float32Array(this.#rowsPerBlock));
    if (this.bytes > LIMITS.datasetBytes) {
      throw new TributaryError(
        'LIMIT_EXCEEDED',
        `a dataset takes at most ${String(LIMITS.datasetBytes)} bytes encoded; use fewer rows or features`,
      );
    }
  }
}
