/** A second-order section in direct form II transposed, with a0 = 1. */
export interface Biquad {
  readonly b: readonly [number, number, number];
  readonly a: readonly [number, number];
}

/** What a section remembers between samples. */
export type BiquadMemory = [number, number];

/**
 * A Butterworth section of second order by the bilinear transform (Oppenheim and Schafer, Discrete-Time Signal
 * Processing, 7.1): -3 dB at `cutHz`.
 */
export function butterworth(kind: 'LowPass' | 'HighPass', cutHz: number, rateHz: number): Biquad {
  const warped = Math.tan((Math.PI * cutHz) / rateHz);
  const norm = 1 / (1 + Math.SQRT2 * warped + warped * warped);
  const gain = kind === 'LowPass' ? warped * warped * norm : norm;
  return {
    b: [gain, kind === 'LowPass' ? 2 * gain : -2 * gain, gain],
    a: [2 * (warped * warped - 1) * norm, (1 - Math.SQRT2 * warped + warped * warped) * norm],
  };
}

/** One sample through a section; changes `memory`. */
export function filtered({ b, a }: Biquad, memory: BiquadMemory, x: number): number {
  const y = b[0] * x + memory[0];
  memory[0] = b[1] * x - a[0] * y + memory[1];
  memory[1] = b[2] * x - a[1] * y;
  return y;
}

/** The memory of a section that has seen `x` for ever: so that a signal may begin anywhere without a jolt. */
export function settled({ b, a }: Biquad, x: number): BiquadMemory {
  const y = (x * (b[0] + b[1] + b[2])) / (1 + a[0] + a[1]);
  const second = b[2] * x - a[1] * y;
  return [b[1] * x - a[0] * y + second, second];
}
