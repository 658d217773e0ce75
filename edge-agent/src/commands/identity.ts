import { identityStatement, TributaryError } from '@tributary/proto';

import { openDataDirectory, socketPath } from '../adapters/files/data-directory.js';
import { fetchIdentity } from '../adapters/http/status-client.js';
import { identityKeyOf, requireEnrolment } from '../app/enrolment-record.js';
import type { AgentConfig } from '../config.js';

/**
 * Who this agent is, as JSON, for whoever writes the roster: asked of the running agent, else read from its data. Rejects
 * with UNAUTHENTICATED before a join.
 */
export async function identityCommand({
  dataDir,
  sealKeyFile,
}: Pick<AgentConfig, 'dataDir' | 'sealKeyFile'>): Promise<string> {
  try {
    return await fetchIdentity(socketPath(dataDir));
  } catch (error) {
    if (TributaryError.from(error).code !== 'UNAVAILABLE') throw error;
  }
  const data = await openDataDirectory(dataDir, sealKeyFile);
  try {
    const record = await requireEnrolment(data.store);
    return identityText(identityStatement(record, identityKeyOf(record)));
  } finally {
    await data.close();
  }
}

/** As files hold it. */
export const identityText = (statement: ReturnType<typeof identityStatement>): string =>
  `${JSON.stringify(statement, undefined, 2)}\n`;
