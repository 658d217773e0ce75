/** Validity of a certificate, milliseconds since the epoch. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * The validity of a certificate that arrived at `obtainedAtMs`, by the clock of the site. It is counted from its arrival: issuers
 * date certificates back for slow clocks, which would make short ones due at once. One that had ended when it arrived shows a clock
 * that is ahead: half of its length counts, so that the site does not renew on and on. An arrival still to come shows that the
 * clock was ahead, and says nothing.
 */
export function countedValidity(dates: Validity, obtainedAtMs: number, nowMs: number): Validity {
  const { notBeforeMs, notAfterMs } = dates;
  if (obtainedAtMs > nowMs) return dates;
  if (obtainedAtMs >= notAfterMs)
    return { notBeforeMs: obtainedAtMs, notAfterMs: obtainedAtMs + (notAfterMs - notBeforeMs) / 2 };
  return { notBeforeMs: Math.max(notBeforeMs, obtainedAtMs), notAfterMs };
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
