import { TributaryError } from '@tributary/proto';

import { socketPath } from '../adapters/files/data-directory.js';
import { requestOf } from '../adapters/http/status-client.js';
import type { LedgerView } from '../app/ledger-view.js';
import type { AgentConfig } from '../config.js';

type Place = Pick<AgentConfig, 'dataDir'>;

export interface ResolveFlags {
  readonly keep: boolean;
  readonly accept: boolean;
}

/** `log head`: the line that `tributary audit verify --head` takes. Rejects with NOT_FOUND before the first one. */
export async function headCommand(place: Place): Promise<string> {
  const { head } = JSON.parse(await viewOf(place)) as LedgerView;
  if (head !== '') return `${head}\n`;
  throw new TributaryError('NOT_FOUND', 'no head of the log was verified yet', {
    hint: 'the first one comes with the first connection',
  });
}

/** `log forks`: what to print. */
export async function forksCommand(place: Place, { output }: { readonly output: string }): Promise<string> {
  const text = await viewOf(place);
  if (output === 'json') return `${text}\n`;
  const { alarms } = JSON.parse(text) as LedgerView;
  if (alarms.length === 0)
    return 'The log of the coordinator has contradicted nothing that this site had seen.\n';
  return alarms.map(describeAlarm).join('');
}

/** `log resolve`: what to print. Rejects with CONFLICT where nothing is open. */
export async function resolveCommand({ dataDir }: Place, { keep, accept }: ResolveFlags): Promise<string> {
  if (keep === accept)
    throw new TributaryError('USAGE', 'say --keep or --accept', {
      hint: 'look at `tributary-agent log forks`, and ask the operator of the coordinator, before you decide',
    });
  const choice = keep ? 'Keep' : 'Accept';
  await requestOf(socketPath(dataDir), 'POST', '/settle', { choice });
  return keep
    ? 'Settled: only the history that the site had seen counts.\n'
    : 'Settled: the history that the coordinator showed counts from here on.\n';
}

const viewOf = ({ dataDir }: Place): Promise<string> => requestOf(socketPath(dataDir), 'GET', '/ledger');

const describeAlarm = ({ code, detail, time, resolved, kept, shown }: LedgerView['alarms'][number]): string =>
  [
    `${code} at ${time}: ${resolved === '' ? 'open' : `settled, ${resolved}`}`,
    `  ${detail}`,
    `  seen:  ${kept}`,
    `  shown: ${shown}`,
    '',
  ].join('\n');
