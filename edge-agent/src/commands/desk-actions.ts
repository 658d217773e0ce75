import { decodeBase64, TributaryError } from '@tributary/proto';

import type { Actions } from '../adapters/http/local-server.js';
import type { Agent } from '../app/agent.js';
import type { AlarmChoice } from '../domain/ledger-alarm.js';
import type { ForeignDecision } from '../app/site-jobs.js';

/** What commands of the site ask of the running agent. */
export function deskActions(agent: Pick<Agent, 'desk' | 'status' | 'ledger' | 'settle'>): Actions {
  // Asked for at each request: a replica has none.
  return {
    'GET /jobs': async () => JSON.stringify(await agent.desk.list()),
    'GET /explain': async (query) => JSON.stringify(await agent.desk.explain(required(query, 'job'))),
    'GET /egress': async (query) => JSON.stringify(await agent.desk.receipt(required(query, 'job'))),
    'GET /log': () => Promise.resolve(JSON.stringify(agent.status().decisions)),
    'GET /ledger': () => Promise.resolve(JSON.stringify(agent.ledger())),
    'POST /settle': async (query) => JSON.stringify(await agent.settle(choiceOf(query))),
    'POST /decide': async (query) =>
      JSON.stringify(await agent.desk.decide(required(query, 'job'), decisionOf(query), foreignOf(query))),
  };
}

function choiceOf(query: URLSearchParams): AlarmChoice {
  const choice = required(query, 'choice');
  if (choice === 'Keep' || choice === 'Accept') return choice;
  throw new TributaryError('INVALID_ARGUMENT', 'choice: Keep or Accept');
}

function decisionOf(query: URLSearchParams): 'Approved' | 'Rejected' {
  const decision = required(query, 'decision');
  if (decision === 'Approved' || decision === 'Rejected') return decision;
  throw new TributaryError('INVALID_ARGUMENT', 'decision: Approved or Rejected');
}

/** Signed by another key than that of the agent. */
function foreignOf(query: URLSearchParams): ForeignDecision | undefined {
  if (!query.has('key')) return undefined;
  return {
    approverKey: decodeBase64(required(query, 'key'), 'key', 32),
    decidedAt: required(query, 'time'),
    signature: decodeBase64(required(query, 'signature'), 'signature', 64),
  };
}

function required(query: URLSearchParams, name: string): string {
  const value = query.get(name) ?? '';
  if (value !== '') return value;
  throw new TributaryError('INVALID_ARGUMENT', `${name}: is missing`, { fields: { field: name } });
}
