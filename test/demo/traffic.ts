import type { LocalFederation } from '../support/federation.js';

interface Event {
  readonly type: string;
  readonly body: { readonly bytes?: string; readonly uploadId?: string };
}

export interface Traffic {
  readonly rounds: number;
  readonly updates: { readonly sent: number; readonly accepted: number; readonly lost: number };
  readonly bytesUp: number;
}

/** What the ledger says of the jobs' rounds, beside what the agents say they sent. */
export async function readTraffic(federation: LocalFederation, jobs: readonly string[]): Promise<Traffic> {
  const events: Event[] = [];
  for (const job of jobs) {
    const described = JSON.parse(await federation.cliText('describe', `fj/${job}`, '-o', 'json')) as { readonly events: readonly Event[] };
    events.push(...described.events);
  }
  const of = (type: string): readonly Event[] => events.filter((event) => event.type === type);
  const accepted = of('update.accepted');
  const agents = await Promise.all([...federation.agents.keys()].map((site) => federation.agentStatus(site)));
  const sent = agents.reduce((sum, status) => sum + status.updates.sent, 0);
  return {
    rounds: of('round.committed').length,
    updates: { sent, accepted: accepted.length, lost: sent - accepted.length },
    bytesUp: agents.reduce((sum, status) => sum + status.bytesUp, 0),
  };
}
