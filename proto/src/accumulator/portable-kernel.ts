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
    // Lanes as in the WebAssembly kernel, so that both round the same way.
    const lanes = [0, 0, 0, 0];
    const whole = values.length - (values.length % 4);
    values.forEach((value, index) => {
      most = Math.max(most, Math.abs(value));
      if (index < whole) lanes[index % 4] = (lanes[index % 4] ?? 0) + value * value;
    });
    const [a = 0, b = 0, c = 0, d = 0] = lanes;
    const rest = values.subarray(whole).reduce((sum, value) => sum + value * value, a + c + (b + d));
    return { most, squares: rest };
  },
};
