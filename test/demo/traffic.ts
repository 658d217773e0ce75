import type { LocalFederation } from '../support/federation.js';

interface Event {
  readonly type: string;
  readonly body: { readonly uploadId?: string; readonly round?: number; readonly kind?: string };
}

export interface Traffic {
  /** Rounds of training that were committed. */
  readonly rounds: number;
  /** Of every round: statistics and evaluations leave the sites too. */
  readonly updates: { readonly sent: number; readonly accepted: number; readonly lost: number };
  readonly bytesUp: number;
}

/** What the ledger says of the jobs' rounds, beside what the agents say they sent: an update in one only is lost. */
export async function readTraffic(federation: LocalFederation, jobs: readonly string[]): Promise<Traffic> {
  const events: Event[] = [];
  let rounds = 0;
  for (const job of jobs) {
    const described = JSON.parse(await federation.cliText('describe', `fj/${job}`, '-o', 'json')) as {
      readonly events: readonly Event[];
    };
    events.push(...described.events);
    rounds += trainingRounds(described.events);
  }
  const accepted = new Set(
    events.filter((event) => event.type === 'update.accepted').map((event) => event.body.uploadId),
  );
  const sent = await sentUploads(federation);
  return {
    rounds,
    updates: {
      sent: sent.length,
      accepted: accepted.size,
      lost: sent.filter((uploadId) => !accepted.has(uploadId)).length,
    },
    bytesUp: await bytesUp(federation),
  };
}

function trainingRounds(events: readonly Event[]): number {
  const others = events.filter(({ type, body }) => type === 'round.opened' && body.kind !== undefined);
  const numbers = new Set(others.map(({ body }) => body.round));
  return events.filter(({ type, body }) => type === 'round.committed' && !numbers.has(body.round)).length;
}

/** Ids of the updates that the agents finished, from their own logs. */
async function sentUploads(federation: LocalFederation): Promise<string[]> {
  const logs = await Promise.all([...federation.agents.values()].map((agent) => agent.log()));
  const lines = logs
    .flatMap((log) => log.split('\n'))
    .filter((line) => line.includes('"update held in the outbox"'));
  return lines.map((line) => (JSON.parse(line) as { readonly uploadId: string }).uploadId);
}

/** Bytes of messages that left the sites, by the agents' own meters. */
async function bytesUp(federation: LocalFederation): Promise<number> {
  const statuses = await Promise.all(
    [...federation.agents.keys()].map((site) => federation.agentStatus(site)),
  );
  return statuses.reduce((sum, { egress }) => sum + Number(egress.update) + Number(egress.control), 0);
}
