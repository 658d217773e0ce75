import { printable } from '@tributary/proto';

import { requireReference } from '../reference.js';
import type { Session } from '../session.js';

export interface LogsOptions {
  readonly follow: boolean;
  readonly tail: number;
}

/**
 * Log lines of the coordinator as pino wrote them, without what would steer a terminal: one JSON object a line. `subject` is a job or site, as NAME or
 * KIND/NAME; without it all lines are shown.
 */
export async function logs(
  session: Session,
  subject: string | undefined,
  options: LogsOptions,
): Promise<void> {
  const admin = await session.admin();
  const name = subject?.includes('/') === true ? requireReference(subject, undefined).name : (subject ?? '');
  const request = { subject: name, follow: options.follow, tail: options.tail };
  for await (const { line } of admin.stream('StreamLogs', request, session.signal))
    session.terminal.out(printable(line.trimEnd()));
}
