const UNITS: readonly (readonly [suffix: string, seconds: number])[] = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
];

/** Time between two instants in the largest unit that fits: "3d", "5h", "12m", "40s". */
export function age(fromIso: string | undefined, nowMs: number): string {
  const from = fromIso === undefined ? Number.NaN : Date.parse(fromIso);
  if (Number.isNaN(from)) return '-';
  const seconds = Math.max(0, Math.floor((nowMs - from) / 1000));
  const [suffix, size] = UNITS.find(([, unit]) => seconds >= unit) ?? ['s', 1];
  return `${String(Math.floor(seconds / size))}${suffix}`;
}
