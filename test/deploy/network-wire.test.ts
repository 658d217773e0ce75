import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { FullStatus } from '@tributary/edge-agent/internal/app/status.js';
import { stringify } from 'yaml';

import { BINARIES, Daemon, repositoryRoot, runCommand } from '../support/daemon.js';
import { requireSuccess } from '../support/federation.js';
import { render, type ChartName, type Manifest } from '../support/kube/charts.js';
import { PolicedNetwork, withoutPolicedNetwork } from '../support/kube/policed-network.js';
import { toolsOf } from '../support/kube/tools.js';
import type { Pod } from '../support/kube/traffic.js';
import { mosquittoInstalled } from '../support/mosquitto.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const generation = 'helm 4';
const HOST = 'hub.example.test';
const BROKER = 'north-tributary-agent-broker';

const missing =
  withoutPolicedNetwork() ??
  (toolsOf(generation) === undefined ? 'needs `npm run fetch:kube`' : undefined) ??
  (mosquittoInstalled() ? undefined : 'needs mosquitto');

const pod = (component: string, chart: ChartName, release: string, namespace: string): Pod => ({
  namespace,
  labels: {
    'app.kubernetes.io/name': chart,
    'app.kubernetes.io/instance': release,
    'app.kubernetes.io/component': component,
  },
});

/** The coordinator in a namespace of its own, as in another cluster; `internet` is outside of both. */
const PODS = {
  hub: pod('coordinator', 'tributary-coordinator', 'hub', 'tributary'),
  operator: { namespace: 'tributary', labels: { app: 'operator' } },
  agent: pod('agent', 'tributary-agent', 'north', 'site'),
  broker: pod('broker', 'tributary-agent', 'north', 'site'),
  neighbour: { namespace: 'site', labels: { app: 'sensor' } },
  stranger: { namespace: 'other', labels: { app: 'x' } },
  prometheus: { namespace: 'monitoring', labels: { app: 'prometheus' } },
  dns: { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } },
  internet: undefined,
} as const satisfies Readonly<Record<string, Pod | undefined>>;
type Name = keyof typeof PODS | 'node';

/** A connection that is refused, and whose policies refuse it. */
type Refused = readonly [from: Name, to: Name, port: number, by: 'Ingress' | 'Egress'];

const REFUSED: readonly Refused[] = [
  // Nobody dials an agent.
  ['stranger', 'agent', 7447, 'Ingress'],
  ['neighbour', 'agent', 7447, 'Ingress'],
  ['internet', 'agent', 7447, 'Ingress'],
  ['prometheus', 'agent', 7446, 'Ingress'],
  ['neighbour', 'agent', 7446, 'Ingress'],
  ['neighbour', 'agent', 8080, 'Ingress'],
  // An agent dials its coordinator, on its ports, and nobody else.
  ['agent', 'internet', 443, 'Egress'],
  ['agent', 'internet', 7443, 'Egress'],
  ['agent', 'internet', 53, 'Egress'],
  ['agent', 'stranger', 7443, 'Egress'],
  ['agent', 'neighbour', 1883, 'Egress'],
  ['agent', 'hub', 7445, 'Egress'],
  ['agent', 'prometheus', 7447, 'Egress'],
  // A coordinator dials nobody.
  ['hub', 'internet', 443, 'Egress'],
  ['hub', 'agent', 7447, 'Egress'],
  ['hub', 'operator', 7443, 'Egress'],
  ['hub', 'dns', 53, 'Egress'],
  // Metrics, health and administration are not for everybody.
  ['stranger', 'hub', 7447, 'Ingress'],
  ['internet', 'hub', 7447, 'Ingress'],
  ['stranger', 'hub', 7446, 'Ingress'],
  ['stranger', 'hub', 7445, 'Ingress'],
  ['internet', 'hub', 7445, 'Ingress'],
  ['stranger', 'broker', 1883, 'Ingress'],
  ['internet', 'broker', 1883, 'Ingress'],
  ['broker', 'internet', 443, 'Egress'],
  ['broker', 'dns', 53, 'Egress'],
];

/** Connections that somebody accepts. */
const ALLOWED: readonly (readonly [from: Name, to: Name, port: number])[] = [
  ['agent', 'hub', 7443],
  ['agent', 'hub', 7444],
  ['stranger', 'hub', 7443],
  ['internet', 'hub', 7444],
  ['operator', 'hub', 7445],
  ['agent', 'broker', 1883],
  ['neighbour', 'broker', 1883],
  ['agent', 'dns', 53],
  ['prometheus', 'hub', 7447],
  ['prometheus', 'agent', 7447],
  // The kubelet is on the node: its probes are not forwarded.
  ['node', 'hub', 7446],
  ['node', 'agent', 7446],
];

/** Prints what an address answers. */
const SCRAPE = 'fetch(process.argv[1]).then((r) => r.text()).then((t) => process.stdout.write(t))';

const words = ([from, to, port]: readonly [string, string, number, ...unknown[]]): string =>
  `${from} to ${to}:${String(port)}`;

describe(`network policies on the wire: daemons in network namespaces, rules of nftables from the rendered policies${missing === undefined ? '' : ` (${missing})`}`, function () {
  this.timeout(120_000);
  let folder: TemporaryDirectory;
  let network: PolicedNetwork;
  let policies: readonly Manifest[];
  let resolv: string;
  const daemons: Daemon[] = [];
  let mosquitto: ChildProcess;

  before(async function () {
    if (missing !== undefined) this.skip();
    folder = await temporaryDirectory();
    network = PolicedNetwork.start(PODS);
    policies = await renderPolicies();
    network.enforce(policies);
    resolv = join(folder.path, 'resolv.conf');
    await writeFile(resolv, `nameserver ${network.address('dns')}\noptions timeout:1 attempts:2\n`);
    run('dns', join(repositoryRoot, 'test/dist/support/kube/name-server.js'), [
      `${HOST}=${network.address('hub')}`,
      `${BROKER}=${network.address('broker')}`,
    ]);
    await startBroker();
    await startHub();
    await startAgent();
  });

  after(async () => {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    (mosquitto as ChildProcess | undefined)?.kill();
    (network as PolicedNetwork | undefined)?.close();
    await (folder as TemporaryDirectory | undefined)?.remove();
  });

  const at = (...names: readonly string[]): string => join(folder.path, ...names);

  async function renderPolicies(): Promise<readonly Manifest[]> {
    const agent = {
      networkPolicy: { coordinator: [{ ipBlock: { cidr: `${network.address('hub')}/32` } }] },
      broker: { enabled: true, existingSecret: 'mqtt' },
    };
    const hub = { federation: { host: HOST } };
    const own = await render('tributary-coordinator', { generation, values: hub, release: 'hub' });
    const site = await render('tributary-agent', { generation, values: agent, release: 'north' });
    const moved = site.map((one) => ({ ...one, metadata: { ...one.metadata, namespace: 'site' } }));
    return [...own, ...moved].filter(({ kind }) => kind === 'NetworkPolicy');
  }

  function run(name: keyof typeof PODS, script: string, args: readonly string[]): Daemon {
    const prefix = network.prefix(name, resolv);
    const daemon = new Daemon({ script, args, logFile: at(`${name}.log`), prefix });
    daemons.push(daemon);
    return daemon;
  }

  async function startBroker(): Promise<void> {
    const configuration = at('mosquitto.conf');
    await writeFile(configuration, 'listener 1883 0.0.0.0\nallow_anonymous true\n');
    // As root it drops to its own user.
    await chmod(folder.path, 0o755);
    const [program = '', ...args] = [...network.prefix('broker'), '/usr/sbin/mosquitto', '-c', configuration];
    mosquitto = spawn(program, args, { stdio: 'ignore' });
  }

  async function startHub(): Promise<void> {
    const made = ['--data', at('hub'), '--name', 'valley', '--host', HOST];
    const context = ['--context-file', at('operator.yaml')];
    requireSuccess('init', await runCommand(BINARIES.coordinator, ['init', ...made, ...context]));
    const hub = run('hub', BINARIES.coordinator, ['serve', '--data', at('hub'), '--host', HOST]);
    await eventually('the coordinator to serve', async () => {
      if (!hub.running) throw new Error(await hub.log());
      return readFile(at('hub/run/addresses.json')).catch(() => undefined);
    });
    const contexts = [{ name: 'local', server: `unix:${at('hub/run/admin.sock')}` }];
    const local = { formatVersion: 1, currentContext: 'local', authors: [], contexts };
    await writeFile(at('local.yaml'), stringify(local), { mode: 0o600 });
  }

  const operate = async (...args: readonly string[]): Promise<string> =>
    requireSuccess(
      args[0] ?? '',
      await runCommand(BINARIES.tributary, ['--config', at('local.yaml'), ...args]),
    ).stdout;

  async function startAgent(): Promise<void> {
    await mkdir(at('site'));
    const beats = await readFile(join(repositoryRoot, 'deploy/examples/streams/beats.yaml'), 'utf8');
    await writeFile(at('site/beats.yaml'), beats.replace('broker: ward', 'broker: site'));
    const brokers = [{ name: 'site', url: `mqtt://${BROKER}:1883` }];
    const ports = { metricsPort: 7447, healthPort: 7446 };
    const config = { formatVersion: 1, dataDir: './data', ...ports, brokers, pipelines: ['./beats.yaml'] };
    await writeFile(at('site/agent.yaml'), stringify(config));
    await writeFile(at('site/token'), await operate('invite', 'north'), { mode: 0o600 });
    const files = ['--config', at('site/agent.yaml'), '--token-file', at('site/token')];
    const joining = run('agent', BINARIES.agent, ['join', ...files]);
    assert.equal((await joining.exited).code, 0, await joining.log());
    await operate('approve', 'north');
    run('agent', BINARIES.agent, ['run', '--config', at('site/agent.yaml')]);
  }

  const status = async (): Promise<FullStatus | undefined> => {
    const { code, stdout } = await runCommand(BINARIES.agent, [
      ...['status', '--config', at('site/agent.yaml'), '-o', 'json'],
    ]);
    return code === 0 ? (JSON.parse(stdout) as FullStatus) : undefined;
  };

  it('let the agent join, connect and read its stream, and drop nothing that the daemons want', async () => {
    const found = await eventually(
      'the agent at work',
      async () => {
        const now = await status();
        const works = now?.connection === 'Connected' && now.pipelines[0]?.state === 'Running';
        return works ? now : undefined;
      },
      60_000,
      500,
    );
    assert.equal(found.pipelines[0]?.broker, 'site');
    for (const name of ['agent', 'hub', 'broker'] as const)
      for (const direction of ['Ingress', 'Egress'] as const)
        assert.equal(network.dropped(name, direction), 0, `${name} ${direction}`);
  });

  it('let through what must pass', () => {
    for (const allowed of ALLOWED) assert.ok(network.connects(...allowed), words(allowed));
    assert.ok(network.resolves('agent', HOST, resolv));
    const scraped = spawnSync('ip', [
      ...network.prefix('prometheus').slice(1),
      ...[process.execPath, '-e', SCRAPE, `http://${network.address('hub')}:7447/metrics`],
    ]);
    assert.match(String(scraped.stdout), /^tributary_connected_agents 1$/m);
  });

  for (const refused of REFUSED) {
    const [from, to, port, by] = refused;
    it(`drop ${words(refused)}, by the ${by.toLowerCase()} of ${by === 'Ingress' ? to : from}`, () => {
      const whose = by === 'Ingress' ? to : from;
      const before = network.dropped(whose, by);
      // Again where a busy machine has sent nothing in time.
      for (let tries = 0; network.dropped(whose, by) === before; tries += 1) {
        assert.ok(tries < 20, 'no rule has counted it');
        assert.equal(network.reaches(from, to, port, 300), false);
      }
    });
  }

  it('drop questions for names of the coordinator and the broker', () => {
    for (const name of ['hub', 'broker'] as const) {
      const before = network.dropped(name, 'Egress');
      assert.equal(network.resolves(name, HOST, resolv, 2_000), false);
      assert.ok(network.dropped(name, 'Egress') > before);
    }
  });

  it('are what drops: without them the same connections get through', () => {
    network.enforce([]);
    for (const refused of REFUSED) {
      const [from, to, port] = refused;
      assert.ok(network.reaches(from, to, port, 5_000), words(refused));
    }
    for (const name of ['hub', 'broker'] as const) assert.ok(network.resolves(name, HOST, resolv));
    network.enforce(policies);
    assert.equal(network.reaches('stranger', 'agent', 7447, 1_000), false);
  });
});
