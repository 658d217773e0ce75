import { squaredNorm } from '../parameters/update-vector.js';
import type { Kernel } from './kernel.js';

/** 1.5 * 2^52: adding and subtracting it rounds a float64 below 2^51 to the nearest integer, ties to even. */
const MAGIC = 6755399441055744;

/** The kernel in plain JavaScript: about a hundred times slower, on every machine. */
export const portableKernel: Kernel = {
  name: 'portable',

  segment(length) {
    const sums = new BigInt64Array(length);
    return {
      sums,
      fold(offset, values, scale) {
        values.forEach((value, index) => {
          const units = value * scale + MAGIC - MAGIC;
          sums[offset + index] = (sums[offset + index] ?? 0n) + BigInt(units);
        });
      },
      read(offset, into, unit) {
        for (let index = 0; index < into.length; index += 1)
          into[index] = Number(sums[offset + index]) * unit;
      },
    };
  },

  check(values) {
    let most = 0;
    for (const value of values) most = Math.max(most, Math.abs(value));
    return { most, squares: squaredNorm(values) };
  },
};
