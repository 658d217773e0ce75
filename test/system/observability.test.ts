import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { stringify } from 'yaml';

import { BINARIES, repositoryRoot, runCommand } from '../support/daemon.js';
import { LocalFederation, requireSuccess } from '../support/federation.js';
import { chartFolder, execute, type ChartName } from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { freePort } from '../support/local-ports.js';
import { metricsOfPage, metricsOfReadme } from '../support/metrics-page.js';
import { Mosquitto, mosquittoInstalled } from '../support/mosquitto.js';
import { localBroker, mqttParts } from '../support/mqtt-ends.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { Prometheus, prometheusInstalled, type Sample } from '../support/prometheus.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const why = prometheusInstalled() && mosquittoInstalled() ? '' : ' (needs prometheus and mosquitto)';

interface ReleaseLabels {
  readonly namespace: string;
  readonly service: string;
}

const HUB: ReleaseLabels = { namespace: 'tributary', service: 'hub-metrics' };
const SITES = ['north', 'south'] as const;
const siteLabels = (site: string): ReleaseLabels => ({ namespace: 'site', service: `${site}-metrics` });

const PIPELINE = {
  apiVersion: 'tributary.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'records' },
  spec: {
    model: { name: 'points', output: 'far' },
    source: { broker: 'local', topics: ['site/{bed}/records'] },
    payload: {
      type: 'Json',
      columns: { x: 'x', y: 'y', color: 'color' },
      time: { type: 'Path', path: 't' },
      id: 'id',
    },
    key: '{bed}',
    result: { topic: 'out/{bed}' },
  },
};

const read = (chart: ChartName, name: string): string =>
  readFileSync(join(chartFolder(chart), 'files', name), 'utf8');
const dashboard = JSON.parse(read('tributary-coordinator', 'dashboard.json')) as unknown;

/** Expressions of the dashboard as Grafana sends them for the release of this test. */
const panels = listAt(dashboard, 'panels').flatMap((panel) =>
  listAt(panel, 'targets').map((target): readonly [title: string, expression: string] => [
    String(field(panel, 'title')),
    String(field(target, 'expr'))
      .replaceAll('$namespace', HUB.namespace)
      .replaceAll('$service', HUB.service)
      .replaceAll('$agents', SITES.map((site) => siteLabels(site).service).join('|'))
      .replaceAll('$__rate_interval', '20s'),
  ]),
);

/** Rules of the charts, for the three releases of this test. */
const rulesFor = (chart: ChartName, { namespace, service }: ReleaseLabels): string =>
  read(chart, 'rules.yaml').replaceAll('SELECTOR', `namespace="${namespace}",service="${service}"`);
const rules = [
  rulesFor('tributary-coordinator', HUB),
  ...SITES.map((site) => rulesFor('tributary-agent', siteLabels(site))),
];

/**
 * A coordinator, two agents and a Mosquitto as processes, a job at work, a model that answers a stream, an order that a site
 * refuses; scraped by a real Prometheus.
 */
describe(`dashboard and alerts, on live processes${why}`, function () {
  this.timeout(120_000);
  let directory: TemporaryDirectory;
  let brokerFolder: TemporaryDirectory;
  let broker: Mosquitto;
  let federation: LocalFederation;
  let prometheus: Prometheus;
  let sink: MqttSink;
  const addresses: Record<string, string> = {};
  const over = new AbortController();
  let publishing = Promise.resolve();

  before(async function () {
    if (why !== '') this.skip();
    directory = await temporaryDirectory();
    brokerFolder = await temporaryDirectory();
    broker = await Mosquitto.start(brokerFolder.path);
    federation = await LocalFederation.start(join(directory.path, 'federation'));
    addresses['hub'] = (await federation.addresses()).metrics;
    for (const [index, name] of SITES.entries()) await addSite(name, index);
    sink = new MqttSink({ broker: localBroker(broker.port, 'V5'), clientId: 'devices' }, mqttParts);
    prometheus = await Prometheus.start(
      directory.path,
      ['hub', ...SITES].map((name) => ({
        job: name,
        address: addresses[name] ?? '',
        labels: { ...(name === 'hub' ? HUB : siteLabels(name)) },
      })),
      rules,
    );
    await federation.apply(pointsJob('first', { rounds: 1, minSites: 2 }));
    await federation.cliText('wait', '--for=condition=Complete', 'fj/first', '--timeout', '60s');
    await federation.apply({
      ...{ apiVersion: 'tributary.dev/v1alpha1', kind: 'ModelRollout', metadata: { name: 'points' } },
      ...{ spec: { model: 'points', steps: [{ version: 1 }] } },
    });
    // South allows no job this long.
    await federation.apply(pointsJob('second', { rounds: 900, minSites: 1 }));
    publishing = publish();
  });

  after(async function () {
    over.abort();
    await publishing;
    await (sink as MqttSink | undefined)?.close();
    await (prometheus as Prometheus | undefined)?.stop();
    await (federation as LocalFederation | undefined)?.stop();
    await (broker as Mosquitto | undefined)?.leave();
    await (brokerFolder as TemporaryDirectory | undefined)?.remove();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${directory.path}`);
    else await (directory as TemporaryDirectory | undefined)?.remove();
  });

  async function addSite(name: string, index: number): Promise<void> {
    const port = await freePort();
    addresses[name] = `127.0.0.1:${String(port)}`;
    const streams = {
      brokers: [{ name: 'local', url: `mqtt://127.0.0.1:${String(broker.port)}`, protocol: 'V5' }],
      pipelines: ['./records.yaml'],
    };
    await federation.addSite({
      ...{ name, csv: pointsOf(index + 1, 120).csv, dataset: 'points' },
      policy: { serving: { models: ['points'] }, ...(name === 'south' && { maximumRounds: 10 }) },
      config: { metricsPort: port, ...(name === 'north' && streams) },
      files: name === 'north' ? { 'records.yaml': stringify(PIPELINE) } : {},
    });
  }

  /** Ten records a second, of two beds; the first message can be read by nobody. */
  async function publish(): Promise<void> {
    const send = (text: string, bed = '1'): Promise<void> =>
      sink.publish(`site/${bed}/records`, Buffer.from(text), { qos: 1 });
    await send('{"no":');
    for (let id = 0; !over.signal.aborted; id += 1) {
      const record = { id, t: Date.now(), x: 0.5, y: -0.2, color: 'red' };
      await send(JSON.stringify(record), String(id % 2));
      await sleep(100);
    }
  }

  const page = async (name: string): Promise<string> =>
    (await fetch(`http://${addresses[name] ?? ''}/metrics`)).text();

  /** Samples of an expression as soon as they are all numbers. */
  const answered = (title: string, expression: string): Promise<readonly Sample[]> =>
    eventually(
      `${title}: ${expression}`,
      async () => {
        const samples = await prometheus.query(expression);
        const isWhole = samples.length > 0 && samples.every(({ value }) => Number.isFinite(value));
        return isWhole ? samples : undefined;
      },
      60_000,
      200,
    );

  /** The value of an expression with one sample, once it fits. */
  const sampleOf = (expression: string, fits: (value: number) => boolean): Promise<number> =>
    eventually(
      expression,
      async () => {
        const [sample] = await prometheus.query(expression);
        return sample !== undefined && fits(sample.value) ? sample.value : undefined;
      },
      60_000,
      200,
    );

  /** Waits until an alert is in a state for some release; for `inactive`, for all of them. */
  const alerting = (name: string, state: string): Promise<true> =>
    eventually(
      `${name} ${state}`,
      async () => {
        const states = (await prometheus.rules())
          .filter((rule) => rule.name === name)
          .map((rule) => rule.state);
        const fits = (one: string): boolean => one === state;
        return (state === 'inactive' ? states.every(fits) : states.some(fits)) || undefined;
      },
      60_000,
      200,
    );

  it('every expression of the dashboard returns data', async () => {
    assert.ok(await eventually('scrapes', async () => (await prometheus.isScraping()) || undefined));
    for (const [title, expression] of panels) await answered(title, expression);
  });

  it('its variables name the coordinator and the agents', async () => {
    const found = await Promise.all(
      listAt(dashboard, 'templating', 'list')
        .map((variable) => String(field(variable, 'query')))
        .flatMap((query) => {
          const [, match, label] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? [];
          return match === undefined || label === undefined ? [] : [{ match, label }];
        })
        .map(({ match, label }) =>
          prometheus.labelValues(match.replaceAll('$namespace', HUB.namespace), label),
        ),
    );
    assert.deepEqual(found, [[HUB.namespace], [HUB.service], ['north-metrics', 'south-metrics']]);
  });

  it('rounds, trainings, refusals and streams are counted', async () => {
    const above = (expression: string, least: number): Promise<number> =>
      sampleOf(expression, (value) => value > least);
    await above('tributary_rounds_total{outcome="committed"}', 1);
    await above('tributary_sites_declined_total{code="POLICY_REFUSED"}', 0);
    await above('tributary_agent_orders_refused_total{code="POLICY_REFUSED",service="south-metrics"}', 0);
    await above('tributary_agent_trainings_total{outcome="completed",service="north-metrics"}', 1);
    await above('tributary_agent_training_seconds_total{service="north-metrics"}', 0);
    await above('tributary_agent_stream_results_total{pipeline="records"}', 10);
    await above('tributary_agent_stream_dead_letters_total{reason="NotJson"}', 0);
    await above('tributary_agent_predictions_rows_total{model="points",service="north-metrics"}', 10);
    await above('tributary_agent_ledger_entries{service="north-metrics"}', 10);
  });

  it('every alert is evaluated without a fault, and none fires on what is well', async () => {
    const states = await eventually('the rules', async () => {
      const found = await prometheus.rules();
      return found.length > 0 && found.every(({ evaluated }) => evaluated) ? found : undefined;
    });
    const named = rules.join('').match(/alert: \w+/g) ?? [];
    assert.equal(states.length, named.length);
    for (const { name, health, error, state } of states)
      assert.deepEqual(
        { name, health, error, fires: state === 'firing' },
        { name, health: 'ok', error: '', fires: false },
      );
    // A job that has just begun is pending as one that stalls until two scrapes have seen its rounds.
    for (const name of new Set(states.map((rule) => rule.name))) await alerting(name, 'inactive');
  });

  for (const [workspace, name] of [
    ['coordinator', 'hub'],
    ['edge-agent', 'north'],
  ] as const)
    it(`README.md of ${workspace} lists what /metrics shows, and promtool has nothing against the names`, async () => {
      const text = await page(name);
      const readme = readFileSync(join(repositoryRoot, workspace, 'README.md'), 'utf8');
      const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
      const shown = [...metricsOfPage(text, 'tributary_')].sort(byName);
      assert.deepEqual([...metricsOfReadme(readme)].sort(byName), shown);
      assert.ok(shown.length > 15);
      const own = text.split('\n').filter((line) => /^(# (HELP|TYPE) )?tributary_/.test(line));
      const checked = await execute('/usr/bin/promtool', ['check', 'metrics'], `${own.join('\n')}\n`);
      assert.equal(checked.code, 0, checked.stdout + checked.stderr);
    });

  it('a ledger that lost entries is critical on both sides, until the sites have settled it', async () => {
    const backup = join(directory.path, 'backup.tar');
    await federation.backup(backup);
    const saved = Number(/^tributary_ledger_entries (\d+)$/m.exec(await page('hub'))?.[1]);
    const site = (name: string): string => `service="${siteLabels(name).service}"`;
    for (const name of SITES)
      await sampleOf(`tributary_agent_ledger_entries{${site(name)}}`, (value) => value > saved);
    await federation.coordinator.stop('SIGKILL');
    await federation.restore(backup);
    for (const name of SITES) {
      await sampleOf(`tributary_agent_ledger_alarm{kind="shortened",${site(name)}}`, (value) => value === 1);
      await sampleOf(`tributary_agent_halted{${site(name)}}`, (value) => value === 1);
    }
    await sampleOf('tributary_ledger_contradictions', (value) => value === 2);
    await alerting('TributaryAgentLedgerContradicted', 'firing');
    await alerting('TributaryLedgerContradicted', 'firing');
    for (const name of SITES) {
      const config = ['--config', join(federation.siteFolder(name), 'agent.yaml')];
      requireSuccess('resolve', await runCommand(BINARIES.agent, ['log', 'resolve', '--accept', ...config]));
      await sampleOf(`tributary_agent_halted{${site(name)}}`, (value) => value === 0);
    }
    await alerting('TributaryAgentLedgerContradicted', 'inactive');
    await alerting('TributaryLedgerContradicted', 'inactive');
  });

  it('an agent that goes is missed: the gauge falls, and the alert of its chart is pending', async () => {
    const connected = `tributary_connected_agents{service="${HUB.service}"}`;
    await federation.agents.get('north')?.stop();
    await sampleOf(connected, (value) => value === 1);
    await alerting('TributaryAgentDown', 'pending');
  });
});
