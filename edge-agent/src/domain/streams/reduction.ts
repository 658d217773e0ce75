import { LIMITS, readNumber, type Cell, type ReductionSpec, type Row } from '@tributary/proto';

import { firstTime, indexFrom, timeAt, type Run } from './run.js';
import type { ClosedWindow } from './windows/window-plan.js';

/** The part of a run that lies in a window. */
export interface Slice {
  readonly run: Run;
  readonly from: number;
  readonly to: number;
}

/** The parts of sorted runs from `startMs` up to `endMs`; never empty ones. */
export function slicesBetween(runs: readonly Run[], startMs: number, endMs: number): readonly Slice[] {
  const slices: Slice[] = [];
  for (const run of runs) {
    if (firstTime(run) >= endMs) break;
    const [from, to] = [indexFrom(run, startMs), indexFrom(run, endMs)];
    if (from < to) slices.push({ run, from, to });
  }
  return slices;
}

/** Samples or records in a window; those of one time count once for each series. */
export function pointCount(slices: readonly Slice[]): number {
  return slices.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** One row of a window, as the features of a model take it. */
export function reduceWindow(
  reductions: readonly ReductionSpec[],
  slices: readonly Slice[],
  window: ClosedWindow,
): Row {
  return Object.fromEntries(
    reductions.map((reduction) => [reduction.column, reduced(reduction, slices, window)]),
  );
}

function reduced(
  { from, function: name }: ReductionSpec,
  slices: readonly Slice[],
  window: ClosedWindow,
): Cell {
  switch (name) {
    case 'Last':
      return lastCell(slices, from);
    case 'Count':
      return cellsOf(slices, from).filter((cell) => cell !== null && cell !== undefined).length;
    case 'Series':
      return seriesOf(slices, from, window);
    case 'Interval':
      return window.trigger?.intervalMs ?? null;
    case 'Mean':
    case 'Min':
    case 'Max':
    case 'Std':
      return statistic(name, numbersOf(cellsOf(slices, from)));
  }
}

/** The newest value that is there; of a capture, its text. */
function lastCell(slices: readonly Slice[], column: string): Cell {
  let label: string | undefined;
  for (const { run, from, to } of [...slices].reverse()) {
    const cells = Object.hasOwn(run.columns, column) ? run.columns[column] : undefined;
    for (let index = to - 1; cells !== undefined && index >= from; index--)
      if (cells[index] !== null && cells[index] !== undefined) return cells[index];
    if (cells === undefined && Object.hasOwn(run.labels, column)) label ??= run.labels[column];
  }
  return label ?? null;
}

function cellsOf(slices: readonly Slice[], column: string): readonly Cell[] {
  return slices.flatMap(({ run, from, to }) => {
    if (Object.hasOwn(run.columns, column)) return run.columns[column]?.slice(from, to) ?? [];
    return Object.hasOwn(run.labels, column) ? [run.labels[column]] : [];
  });
}

/** Numbers, and texts that write one; anything else says nothing. */
function numbersOf(cells: readonly Cell[]): readonly number[] {
  const numbers: number[] = [];
  for (const cell of cells) {
    const value = typeof cell === 'string' ? readNumber(cell.trim()) : cell;
    if (typeof value === 'number' && Number.isFinite(value)) numbers.push(value);
  }
  return numbers;
}

function statistic(name: 'Mean' | 'Min' | 'Max' | 'Std', values: readonly number[]): number | null {
  if (values.length === 0) return null;
  switch (name) {
    case 'Mean':
      return mean(values);
    case 'Min':
      return values.reduce((least, value) => Math.min(least, value), Infinity);
    case 'Max':
      return values.reduce((most, value) => Math.max(most, value), -Infinity);
    case 'Std':
      return deviation(values);
  }
}

/** Divided before it is summed where the sum would overflow. */
function mean(values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  if (Number.isFinite(sum)) return sum / values.length;
  return values.reduce((total, value) => total + value / values.length, 0);
}

/** Sample standard deviation (n - 1) in two passes; null for fewer than two values, or beyond what a number holds. */
function deviation(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const centre = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return Number.isFinite(squares) ? Math.sqrt(squares / (values.length - 1)) : null;
}

/**
 * All values in order. Of samples, those of a window have their places: where one is missing there is null, so that a model
 * sees the same time at the same place. Of records, the values that are there.
 */
function seriesOf(slices: readonly Slice[], column: string, { startMs, endMs }: ClosedWindow): Cell {
  const held = slices.filter(({ run }) => Object.hasOwn(run.columns, column));
  const periodMs = held.find(({ run }) => run.periodMs > 0)?.run.periodMs;
  if (periodMs === undefined) {
    const values = numbersOf(cellsOf(held, column));
    return values.slice(-LIMITS.streamSeries);
  }
  const span = spanOf(held, startMs, endMs, periodMs);
  const series = new Array<number | null>(span.places).fill(null);
  for (const { run, from, to } of held) {
    const cells = run.columns[column] ?? [];
    for (let index = from; index < to; index++) {
      const place = Math.round((timeAt(run, index) - span.startMs) / periodMs);
      const cell = cells[index];
      if (place >= 0 && place < span.places && typeof cell === 'number') series[place] = cell;
    }
  }
  return series;
}

/**
 * How many places a window has, and the time of the first: of the sample, there or missing, that is the first from the start
 * of the window on. Where the clock of a device wanders there may be one place more: what is there is never left out.
 */
function spanOf(
  slices: readonly Slice[],
  startMs: number,
  endMs: number,
  periodMs: number,
): { readonly startMs: number; readonly places: number } {
  const [first] = slices;
  const last = slices.at(-1);
  if (first === undefined || last === undefined) return { startMs, places: 0 };
  const firstMs = timeAt(first.run, first.from);
  const held = Math.round((timeAt(last.run, last.to - 1) - firstMs) / periodMs) + 1;
  const places = Math.min(Math.max(Math.round((endMs - startMs) / periodMs), held), LIMITS.streamSeries);
  const missing = Math.floor((firstMs - startMs) / periodMs + 0.01);
  return { startMs: firstMs - Math.max(0, Math.min(missing, places - held)) * periodMs, places };
}
