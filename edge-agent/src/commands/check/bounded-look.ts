import { LIMITS, TributaryError } from '@tributary/proto';

import { failedLine, type CheckLine } from '../../domain/site-check/check-line.js';

/** Lines of one look, and whether it was cut short. */
export interface Looked {
  readonly lines: readonly CheckLine[];
  readonly late: boolean;
}

/** Runs one look for LIMITS.siteCheckMs at most. It never rejects: what goes wrong is a line. */
export async function bounded(
  check: string,
  look: (signal: AbortSignal) => Promise<CheckLine | readonly CheckLine[]>,
  late: () => CheckLine = () => lateLine(check),
): Promise<Looked> {
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const cut = new Promise<Looked>((resolve) => {
    timer = setTimeout(() => {
      resolve({ lines: [late()], late: true });
      stop.abort();
    }, LIMITS.siteCheckMs);
  });
  const looked = look(stop.signal).then(
    (lines) => ({ lines: [lines].flat(), late: false }),
    (error: unknown) => ({ lines: [faultLine(check, error)], late: false }),
  );
  try {
    return await Promise.race([looked, cut]);
  } finally {
    clearTimeout(timer);
  }
}

const lateLine = (check: string): CheckLine =>
  failedLine(
    check,
    `no answer within ${String(LIMITS.siteCheckMs / 1_000)} s`,
    'see whether a disk, a name server or a firewall on the way holds it up',
  );

/** An error in our own words as a line. The text of one that nobody foresaw may quote a cell or a secret. */
export function faultLine(
  check: string,
  error: unknown,
  fix = 'see the message; it names the field',
): CheckLine {
  const { code, message, hint } = TributaryError.from(error);
  return failedLine(check, code === 'INTERNAL' ? 'an unexpected error' : `${code}: ${message}`, hint ?? fix);
}
