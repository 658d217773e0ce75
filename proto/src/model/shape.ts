import type { Problem } from '../documents/problem.js';

/** Sizes of the axes of one row, without that of the batch: [width], [length, channels], [rows, columns, channels]. */
export type Shape = readonly number[];

/** Elements of a row of this shape. */
export function elementsOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A shape as people read it: "[28, 28, 1]". */
export function shapeText(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

const AXES: readonly string[] = [
  '[]',
  '[width]',
  '[length, channels]',
  '[rows, columns, channels]',
  '[depth, rows, columns, channels]',
];

/** The problem of a layer that takes `rank` axes and meets another shape; undefined where they fit. */
export function rankProblem(type: string, rank: number, input: Shape): Problem | undefined {
  if (input.length === rank) return undefined;
  return {
    path: ['type'],
    what: `${type} takes ${AXES[rank] ?? 'another shape'} and gets ${shapeText(input)}`,
    fix: 'put a Reshape, a Flatten or a global pooling before it',
  };
}
