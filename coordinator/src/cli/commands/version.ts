import { SOFTWARE_VERSION, TributaryError } from '@tributary/proto';

import { formatValue, type OutputFormat } from '../output/formats.js';
import type { Session } from '../session.js';

/** Versions of the command itself and, unless `clientOnly`, of the coordinator it talks to. */
export async function version(
  session: Session,
  options: { readonly output: OutputFormat; readonly client: boolean },
): Promise<void> {
  const client = { software: SOFTWARE_VERSION, node: process.version };
  const server = options.client ? undefined : await serverVersion(session);
  if (options.output !== 'table') {
    session.terminal.out(formatValue(server === undefined ? { client } : { client, server }, options.output));
    return;
  }
  session.terminal.out(`client: ${client.software} (Node.js ${client.node})`);
  if (server === undefined) return;
  session.terminal.out(
    `server: ${server.software} (Node.js ${server.node}), wire ${server.versions.join(', ')}`,
  );
  session.terminal.out(`federation: ${server.federation}, log ${server.logId}, ${server.ledgerSize} entries`);
}

async function serverVersion(session: Session) {
  const admin = await session.admin();
  try {
    return await admin.unary('GetVersion', {});
  } catch (error) {
    const cause = TributaryError.from(error);
    throw new TributaryError(cause.code, cause.message, {
      cause,
      hint: cause.hint ?? 'tributary version --client works without a server',
    });
  }
}
