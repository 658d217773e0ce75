import type { Problem } from '../../documents/problem.js';
import type { Shape } from '../shape.js';

/** A window that moves over the axes of a row. */
export interface Window {
  readonly size: Shape;
  readonly strides: Shape;
  readonly padding: 'Valid' | 'Same';
}

/** The values of a field for `axes` axes: as they are, or the only one for all of them. */
export function perAxis(values: readonly number[] | undefined, axes: number, otherwise: Shape): Shape {
  if (values === undefined) return otherwise;
  return values.length === 1 ? Array.from({ length: axes }, () => values[0] ?? 1) : values;
}

export const ones = (axes: number): Shape => Array.from({ length: axes }, () => 1);

/** A problem where a field has neither one value nor one for each axis. */
export function axesProblem(
  fields: Readonly<Record<string, readonly number[] | undefined>>,
  axes: number,
): Problem | undefined {
  for (const [name, values] of Object.entries(fields)) {
    if (values === undefined || values.length === 1 || values.length === axes) continue;
    const what = `has ${String(values.length)} values for ${String(axes)} axes`;
    return { path: [name], what, fix: `give 1 or ${String(axes)}` };
  }
  return undefined;
}

/** Sizes after a window has moved over `sizes`, or the problem of one that does not fit inside. */
export function windowOutput(window: Window, sizes: Shape, field: string): Shape | Problem {
  const { strides, padding } = window;
  const output = sizes.map((size, axis) => {
    const places = padding === 'Same' ? size : size - (window.size[axis] ?? 1) + 1;
    return Math.ceil(places / (strides[axis] ?? 1));
  });
  if (output.every((size) => size >= 1)) return output;
  return {
    path: [field],
    what: `the window is larger than its input [${sizes.join(', ')}]`,
    fix: 'make it smaller, or use Same padding',
  };
}
