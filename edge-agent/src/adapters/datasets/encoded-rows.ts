import { LIMITS, TributaryError } from '@tributary/proto';

import { RowFile } from './row-file.js';

/** Bytes of one block of rows: large enough to be few, small enough that the last one wastes little. */
const BLOCK_BYTES = 4 * 1024 * 1024;

/**
 * Encoded rows of a dataset: a float32 matrix and one float32 label a row. Rows beyond a budget of memory are in a file
 * that only this process can reach; reading one gives the same bits wherever it is.
 */
export class EncodedRows {
  /** Values a row, at least 1. */
  readonly width: number;
  readonly #scratchDir: string;
  readonly #memoryBytes: number;
  /** Values and label of a row. */
  readonly #stride: number;
  readonly #rowsPerBlock: number;
  readonly #blocks: Float32Array[] = [];
  /** The block that is being filled: the last of `#blocks`, or on its way to the file. */
  #open = new Float32Array();
  #rows = 0;
  /** Rows in memory; those beyond are in the file, or still in the open block. */
  #rowsHeld = 0;
  #file: RowFile | undefined;
  #rowsFiled = 0;

  /** `scratchDir` takes the file; `memoryBytes` is what rows may take before it is made. */
  constructor(width: number, scratchDir: string, memoryBytes: number = LIMITS.datasetMemoryBytes / 2) {
    this.width = width;
    this.#scratchDir = scratchDir;
    this.#memoryBytes = memoryBytes;
    this.#stride = width + 1;
    this.#rowsPerBlock = Math.max(
      1,
      Math.floor(BLOCK_BYTES / (this.#stride * Float32Array.BYTES_PER_ELEMENT)),
    );
  }

  get rows(): number {
    return this.#rows;
  }

  /** Bytes held in memory. */
  get bytes(): number {
    return (this.#blocks.length + (this.#file === undefined ? 0 : 1)) * this.#blockBytes;
  }

  /** Adds a row with `label`; returns its `width` values, zero, for the caller to fill in before the next call. */
  append(label: number): Float32Array {
    const place = this.#rows % this.#rowsPerBlock;
    if (place === 0) this.#nextBlock();
    this.#rows += 1;
    if (this.#file === undefined) this.#rowsHeld = this.#rows;
    const at = place * this.#stride;
    this.#open[at + this.width] = label;
    return this.#open.subarray(at, at + this.width);
  }

  /** Copies row `row` to row `target` of `matrix` (row-major) and `labels`. */
  copyRow(row: number, target: number, matrix: Float32Array, labels: Float32Array): void {
    if (row < 0 || row >= this.#rows)
      throw new TributaryError('INTERNAL', 'a row beyond the end of the dataset');
    const values = this.#valuesOf(row);
    matrix.set(values.subarray(0, this.width), target * this.width);
    labels[target] = values[this.width] ?? Number.NaN;
  }

  /** Lets memory and file go; no row can be read any more. Idempotent. */
  close(): void {
    this.#blocks.length = 0;
    this.#open = new Float32Array();
    this.#rows = 0;
    this.#file?.close();
    this.#file = undefined;
  }

  #valuesOf(row: number): Float32Array {
    const place = (row % this.#rowsPerBlock) * this.#stride;
    if (row < this.#rowsHeld)
      return (this.#blocks[Math.floor(row / this.#rowsPerBlock)] ?? this.#open).subarray(
        place,
        place + this.#stride,
      );
    const filed = row - this.#rowsHeld;
    if (filed >= this.#rowsFiled || this.#file === undefined)
      return this.#open.subarray(place, place + this.#stride);
    return this.#file.read(filed);
  }

  get #blockBytes(): number {
    return this.#rowsPerBlock * this.#stride * Float32Array.BYTES_PER_ELEMENT;
  }

  #nextBlock(): void {
    if (this.#rows * this.#stride * Float32Array.BYTES_PER_ELEMENT >= LIMITS.datasetBytes)
      throw new TributaryError(
        'LIMIT_EXCEEDED',
        `a dataset takes at most ${String(LIMITS.datasetBytes)} bytes encoded; use fewer rows or features`,
      );
    if (this.#file !== undefined) {
      this.#file.append(this.#open);
      this.#rowsFiled += this.#rowsPerBlock;
      this.#open.fill(0);
      return;
    }
    this.#open = new Float32Array(this.#rowsPerBlock * this.#stride);
    if ((this.#blocks.length + 1) * this.#blockBytes <= this.#memoryBytes) this.#blocks.push(this.#open);
    else this.#file = new RowFile(this.#scratchDir, this.#stride);
  }
}
