import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { SignedReceipt } from '@tributary/edge-agent/internal/app/egress-receipts.js';

import { BINARIES, runCommand } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { Operator } from '../support/operator.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { RecordingProxy } from '../support/recording-proxy.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

/** Real processes; all that the agent sends passes a slow proxy that counts it. */
describe('the receipt of a site whose agent is killed while it uploads', function () {
  this.timeout(180_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let operator: Operator;
  let proxy: RecordingProxy;

  before(async () => {
    directory = await temporaryDirectory();
    proxy = await RecordingProxy.start();
    federation = await LocalFederation.start(join(directory.path, 'federation'), 'valley');
    await federation.addSite({
      name: 'west',
      csv: pointsOf(1, 80).csv,
      dataset: 'points',
      config: { proxy: { url: proxy.url, noProxy: [] } },
    });
    operator = await Operator.of(federation);
  });

  after(async function () {
    operator.close();
    await federation.stop();
    await proxy.stop();
    await directory.remove();
  });

  for (const [index, part] of [0.2, 0.5, 0.8].entries()) {
    it(`is what passed below TLS, killed after ${String(100 * part)} per cent of the first update`, async () => {
      const name = `killed-${String(index)}`;
      const before = proxy.sent;
      proxy.pauseMs = 10;
      await operator.apply(wideJob(name));
      await eventually('a part', () => proxy.sent - before > part * UPDATE_BYTES || undefined, 60_000);
      const held = await stoppedWith(federation.agents.get('west')?.pid ?? 0, portOf(proxy));
      await federation.agents.get('west')?.stop('SIGKILL');
      proxy.pauseMs = 0;
      federation.startAgent('west');
      await operator.event(name, 'job.completed', undefined, 60_000);
      const receipt = await eventually('the receipt', async () => {
        const config = join(federation.siteFolder('west'), 'agent.yaml');
        const told = await runCommand(BINARIES.agent, ['egress', name, '-o', 'json', '--config', config]);
        const signed = told.code === 0 ? (JSON.parse(told.stdout) as SignedReceipt) : undefined;
        return signed?.receipt.complete === true ? signed.receipt : undefined;
      });
      const [counted, captured] = [Number(receipt.bytes.total), proxy.sent - before];
      const text = `counted ${String(counted)}, captured ${String(captured)}, held ${String(held)}`;
      assert.ok(counted >= 0.999 * captured, text);
      assert.ok(counted <= 1.02 * captured + held, text);
    });
  }
});

const portOf = ({ url }: RecordingProxy): number => Number(new URL(url).port);

/**
 * Stops a process, and gives the bytes that the system holds of its connections to a port: taken over, but not acknowledged
 * by the other side. They are lost where that sends something to the dead process.
 */
async function stoppedWith(pid: number, port: number): Promise<number> {
  process.kill(pid, 'SIGSTOP');
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').slice(1);
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , remote = '']) => Number.parseInt(remote.split(':')[1] ?? '', 16) === port)
    .reduce((sum, [, , , , queues = '']) => sum + Number.parseInt(queues.split(':')[0] ?? '0', 16), 0);
}

const UPDATE_BYTES = 5_800_000;

function wideJob(name: string) {
  const base = pointsJob(name, { minSites: 1, rounds: 2, evaluation: {} });
  const layers = [
    { type: 'Dense', units: 1_200, activation: 'Relu' },
    { type: 'Dense', units: 1_200, activation: 'Relu' },
    { type: 'Dense', units: 1, activation: 'Sigmoid' },
  ] as const;
  return {
    ...base,
    spec: {
      ...base.spec,
      model: { ...base.spec.model, name, layers: [...layers] },
      training: { ...base.spec.training, epochs: 1 },
    },
  };
}
