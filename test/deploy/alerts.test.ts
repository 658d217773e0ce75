import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { showCertificates } from '@tributary/coordinator/internal/adapters/http/certificate-metrics.js';
import { Metrics } from '@tributary/coordinator/internal/adapters/http/metrics.js';
import { predictionMetrics } from '@tributary/edge-agent/internal/app/prediction-metrics.js';
import { metricsOf, type AgentStatus } from '@tributary/edge-agent/internal/app/status.js';
import { StreamFigures } from '@tributary/edge-agent/internal/app/streams/figures.js';
import { pipelineMetrics } from '@tributary/edge-agent/internal/app/streams/pipeline-metrics.js';
import type { PipelineStatus } from '@tributary/edge-agent/internal/app/streams/pipeline-status.js';
import { WorkFigures } from '@tributary/edge-agent/internal/app/work-figures.js';
import { workMetrics } from '@tributary/edge-agent/internal/app/work-metrics.js';
import { isErrorCode } from '@tributary/proto';
import { parse, stringify } from 'yaml';

import { commandFault } from '../support/command-trees.js';
import { repositoryRoot } from '../support/daemon.js';
import { chartFolder, CHARTS, execute, type ChartName } from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { hasPromtool, PROMTOOL, rulesOf, rulesText, WHY_NO_PROMTOOL } from '../support/kube/rules.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

const read = (chart: ChartName, name: string): string =>
  readFileSync(join(chartFolder(chart), 'files', name), 'utf8');

const STATUS: AgentStatus = {
  ...{ formatVersion: 1, agentId: 'a', site: 's', kind: 'Training', coordinator: 'c', logId: 'l' },
  ...{ connection: 'Connected', lastError: null, certificateExpires: '2026-01-01T00:00:00.000Z', rounds: [] },
  egress: { update: '0', control: '0', transport: '0' },
  serving: [],
  ledger: { size: 0, alarm: null },
  decisions: { count: 0, head: '', recent: [] },
};

const PIPELINE: PipelineStatus = {
  ...{ name: 'beats', state: 'Running', reason: null, broker: 'ward', model: null, version: null },
  ...{ keys: 0, outstanding: 0, outstandingBytes: 0, refused: 0, unpublished: 0 },
  ...new StreamFigures().taken(),
};

/** Names that each daemon exposes. */
async function exposed(chart: ChartName): Promise<ReadonlySet<string>> {
  const own = async (): Promise<string> => {
    if (chart === 'tributary-agent')
      return (
        metricsOf(STATUS) +
        workMetrics(new WorkFigures().counts, []) +
        predictionMetrics({ models: [], waitingRows: 0, restarts: 0 }) +
        pipelineMetrics([PIPELINE])
      );
    const metrics = new Metrics();
    metrics.addSources({
      ledgerSize: () => 0,
      connectedAgents: () => 0,
      openJobs: () => 0,
      queuedJobs: () => 0,
      contradictions: () => 0,
    });
    showCertificates(metrics.registry, () => []);
    return metrics.registry.metrics();
  };
  const names = [...(await own()).matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
  return new Set([...names, 'up']);
}

/** Names of metrics in an expression: what stands before a selector. */
const metricsIn = (expression: string): readonly string[] =>
  [...expression.matchAll(/([a-z_:][a-z0-9_:]*)\{/g)].map(([, name = '']) => name);

for (const chart of CHARTS) {
  describe(`alerts of ${chart}`, () => {
    it('read metrics that the daemon exposes', async () => {
      const known = await exposed(chart);
      for (const { alert, expr } of rulesOf(chart)) {
        const named = metricsIn(expr);
        assert.ok(named.length > 0, alert);
        for (const name of named) assert.ok(known.has(name), `${alert}: ${name}`);
      }
    });

    it('have a runbook each', () => {
      const text = readFileSync(join(repositoryRoot, 'deploy/RUNBOOKS.md'), 'utf8');
      for (const { alert, annotations } of rulesOf(chart)) {
        assert.equal(annotations['runbook_url'], `RUNBOOK#${alert.toLowerCase()}`);
        assert.ok(text.includes(`\n## ${alert}\n`), `${alert} has no runbook`);
        assert.ok((annotations['summary'] ?? '').endsWith('.'), alert);
      }
    });

    it(`are understood by Prometheus${WHY_NO_PROMTOOL}`, async function () {
      if (!hasPromtool) this.skip();
      const folder = await temporaryDirectory();
      try {
        const file = join(folder.path, 'rules.yaml');
        await writeFile(file, stringify(parse(rulesText(chart))));
        const { code, stdout, stderr } = await execute(PROMTOOL, ['check', 'rules', file]);
        assert.equal(code, 0, stdout + stderr);
      } finally {
        await folder.remove();
      }
    });
  });
}

describe('deploy/RUNBOOKS.md', () => {
  const text = readFileSync(join(repositoryRoot, 'deploy/RUNBOOKS.md'), 'utf8');

  it('names codes and commands that exist', () => {
    const quoted = [...text.matchAll(/`([^`\n]+)`/g)].map(([, words = '']) => words);
    const codes = quoted.filter((words) => /^[A-Z]+_[A-Z_]+$/.test(words));
    assert.ok(codes.length > 4);
    for (const code of codes) assert.ok(isErrorCode(code), code);
    const commands = quoted.filter((words) => /(?:^|-- )tributary/.test(words));
    assert.ok(commands.length > 6);
    for (const command of commands)
      assert.equal(commandFault(command.replace(/^kubectl .* -- /, '')), undefined);
  });
});

describe('the dashboard', () => {
  const dashboard = JSON.parse(read('tributary-coordinator', 'dashboard.json')) as unknown;
  const panels = listAt(dashboard, 'panels');

  it('reads metrics that the daemons expose: of its release, and of the agents that are chosen', async () => {
    const known = new Set([
      ...(await exposed('tributary-coordinator')),
      ...(await exposed('tributary-agent')),
      'process_resident_memory_bytes',
    ]);
    const expressions = panels.flatMap((panel) =>
      listAt(panel, 'targets').map((target) => String(field(target, 'expr'))),
    );
    assert.ok(expressions.length >= 40);
    for (const expression of expressions) {
      const named = metricsIn(expression).map((name) =>
        name.replace(/_seconds_(sum|count|bucket)$/, '_seconds'),
      );
      assert.ok(named.length > 0, expression);
      for (const name of named) assert.ok(known.has(name), `${name} of ${expression}`);
      const chosen = /\{namespace="\$namespace",service="\$service"|\{service=~"\$agents"/g;
      assert.equal(expression.match(chosen)?.length, named.length, expression);
    }
  });

  it('has panels that do not overlap, with a title and an id each', () => {
    const places = panels.map((panel) =>
      JSON.stringify([field(panel, 'gridPos', 'x'), field(panel, 'gridPos', 'y')]),
    );
    assert.equal(new Set(places).size, panels.length);
    assert.equal(new Set(panels.map((panel) => field(panel, 'id'))).size, panels.length);
    for (const panel of panels) assert.notEqual(field(panel, 'title'), '');
  });
});
