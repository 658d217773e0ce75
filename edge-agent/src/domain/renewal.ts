/** Validity of a certificate, milliseconds since the epoch. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** When to renew: two thirds of the lifetime leave a third for outages of the coordinator. */
export function renewAtMs({ notBeforeMs, notAfterMs }: Validity): number {
  return Math.floor(notBeforeMs + (2 * (notAfterMs - notBeforeMs)) / 3);
}

/** What the certificate allows at `nowMs`: connect as it is, renew first, or nothing but a renewal. */
export function certificateState(validity: Validity, nowMs: number): 'Fresh' | 'Due' | 'Expired' {
  if (nowMs >= validity.notAfterMs) return 'Expired';
  return nowMs >= renewAtMs(validity) ? 'Due' : 'Fresh';
}
