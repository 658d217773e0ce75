import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import type { FederatedJob, FederatedJobObject } from '@tributary/proto';

import { BINARIES } from '../support/daemon.js';
import type { LocalFederation } from '../support/federation.js';

/** Follows the jobs with `tributary get fj --watch`, says every round, and resolves when all are complete. */
export async function followRounds(
  federation: LocalFederation,
  jobs: readonly FederatedJob[],
  say: (line: string) => void,
): Promise<void> {
  const watch = spawn(process.execPath, [BINARIES.tributary, 'get', 'fj', '--watch', '-o', 'json'], {
    env: { ...process.env, TRIBUTARY_CONFIG: federation.contextFile },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const open = new Set(jobs.map((job) => job.metadata.name));
  const shown = new Map<string, number>();
  try {
    for await (const line of createInterface({ input: watch.stdout })) {
      const { object } = JSON.parse(line) as { readonly object: FederatedJobObject };
      const { name } = object.metadata;
      const { currentRound, phase, lastFailureInfo } = object.status;
      if (currentRound > (shown.get(name) ?? 0)) say(roundLine(object));
      shown.set(name, currentRound);
      if (phase === 'Failed')
        throw new Error(`${name} failed: ${lastFailureInfo?.code ?? ''} ${lastFailureInfo?.detail ?? ''}`);
      if (phase === 'Complete' && open.delete(name))
        say(`${name}  the model of the last round  ${metricsOf(object)}`);
      if (open.size === 0) return;
    }
    throw new Error('the watch ended before the jobs did');
  } finally {
    watch.kill();
  }
}

function roundLine(object: FederatedJobObject): string {
  const { metadata, status } = object;
  return `${metadata.name}  round ${String(status.currentRound)}/${String(status.rounds)}  sites ${String(status.sites.reporting)}/${String(status.sites.selected)}  ${metricsOf(object)}`;
}

const metricsOf = ({ status }: FederatedJobObject): string =>
  status.metrics.map(({ name, value }) => `${name} ${Number(value).toFixed(4)}`).join('  ');
