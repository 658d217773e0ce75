import assert from 'node:assert/strict';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { stringify } from 'yaml';

import { BINARIES, runCommand } from '../support/daemon.js';
import { chartFolder, execute, helm, type Ran } from '../support/kube/charts.js';
import { field } from '../support/kube/field.js';
import { toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { startMachine, type Machine } from '../support/kube-api/node.js';
import { runnableImage } from '../support/oci/images.js';
import { WHY_NO_CONTAINERS } from '../support/oci/run.js';
import { canConnect } from '../support/local-ports.js';
import { trialCsv } from '../support/training-job.js';
import { trialJob } from '../support/trial-job.js';
import { eventually } from '../support/waiting.js';

const missing = toolsOf('helm 3') === undefined || toolsOf('helm 4') === undefined;
const why = missing ? WHY_SKIPPED : WHY_NO_CONTAINERS;
const SITES = ['north', 'south'] as const;
const MINUTE = 60_000;

/** A port of nodes that nobody has here. */
async function nodePort(): Promise<number> {
  for (let port = 30_000 + (process.pid % 2_500); ; port += 1) if (!(await canConnect(port))) return port;
}

describe(`a federation from rendered manifests, on an emulator of Kubernetes${why}`, function () {
  this.timeout(4 * MINUTE);
  let machine: Machine;
  let folder: string;
  let context: string;

  const succeeded = (ran: Ran): string => {
    assert.equal(ran.code, 0, `${ran.stderr}${ran.stdout}`);
    return ran.stdout;
  };
  const kubectl = async (...args: readonly string[]): Promise<string> =>
    succeeded(
      await execute(toolsOf('helm 4')?.kubectl ?? '', args, '', { KUBECONFIG: machine.emulator.kubeconfig }),
    );
  const helm4 = async (args: readonly string[], values?: Record<string, unknown>): Promise<string> =>
    succeeded(await helm('helm 4', args, values, { KUBECONFIG: machine.emulator.kubeconfig }));
  const tributary = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await runCommand(BINARIES.tributary, args, {
      TRIBUTARY_CONFIG: context,
    });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const claimFolder = async (namespace: string, name: string): Promise<string> => {
    const uid = await kubectl('-n', namespace, 'get', 'pvc', name, '-o', 'jsonpath={.metadata.uid}');
    return join(machine.emulator.folder, 'claims', `pvc-${uid}`);
  };
  const applyText = async (name: string, text: string): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, text);
    return kubectl('apply', '-f', file);
  };

  before(async function () {
    if (why !== '') this.skip();
    await Promise.all([runnableImage('coordinator'), runnableImage('agent')]);
    machine = await startMachine();
    folder = machine.emulator.folder;
    context = join(folder, 'operator.yaml');
  });
  after(async () => {
    await (machine as Machine | undefined)?.stop();
  });

  it('starts the coordinator, which passes its own test', async () => {
    await applyText('hub.yaml', stringify(restricted('hub')));
    const admin = await nodePort();
    const values = {
      fullnameOverride: 'hub',
      federation: { host: 'hub.hub.svc', additionalHosts: ['127.0.0.1'] },
      advertise: { admin: `127.0.0.1:${String(admin)}` },
      service: { type: 'NodePort', nodePorts: { admin } },
      preStopSeconds: 0,
    };
    const chart = chartFolder('tributary-coordinator');
    await helm4(['install', 'hub', chart, '-n', 'hub', '--wait', '--timeout', '90s'], values);
    await copyFile(join(await claimFolder('hub', 'hub'), 'operator.yaml'), context);
    const printed = await helm4(['test', 'hub', '-n', 'hub', '--timeout', '60s']);
    assert.match(printed, /Phase:\s+Succeeded/);
  });

  for (const site of SITES) {
    it(`starts the agent of ${site} from what "tributary site manifest" prints`, async () => {
      const namespace = `site-${site}`;
      await applyText(
        `${site}-tables.yaml`,
        `${stringify(restricted(namespace))}---\n${stringify(tables(namespace))}`,
      );
      await kubectl(
        '-n',
        namespace,
        'wait',
        '--for=jsonpath={.status.phase}=Bound',
        'pvc/tables',
        '--timeout=30s',
      );
      await writeFile(
        join(await claimFolder(namespace, 'tables'), 'trial.csv'),
        trialCsv(300, SITES.indexOf(site) + 1),
      );
      const [, author = ''] = (await tributary('author', 'list')).split('\n');
      await writeFile(
        join(folder, 'policy.yaml'),
        stringify(policy(site, author.trim().split(/\s+/).at(-1) ?? '')),
      );
      await writeFile(join(folder, 'values.yaml'), stringify(SITE_VALUES));
      const manifest = await tributary(
        ...['site', 'manifest', site, '--namespace', namespace, '--approve'],
        ...['--policy', join(folder, 'policy.yaml'), '--values', join(folder, 'values.yaml')],
      );
      const applied = await applyText(`${site}.yaml`, manifest);
      assert.match(applied, /helmchart\.helm\.cattle\.io\/.* created/);
      await eventually(`the deployment of ${site}`, () => deploymentOf(site), MINUTE);
      await kubectl(
        '-n',
        namespace,
        'wait',
        '--for=condition=Available',
        `deploy/tributary-${site}`,
        '--timeout=90s',
      );
      assert.match(
        await helm4(['test', `tributary-${site}`, '-n', namespace, '--timeout', '90s']),
        /Phase:\s+Succeeded/,
      );
    });
  }

  const deploymentOf = (site: string): object | undefined => {
    const { api } = machine.emulator;
    return api.store.get(api.kinds.named('Deployment'), `site-${site}`, `tributary-${site}`);
  };

  it('completes a job with both', async () => {
    await writeFile(join(folder, 'job.yaml'), stringify(trialJob('trial')));
    await tributary('apply', '-f', join(folder, 'job.yaml'));
    const ended = await eventually(
      'the end of the job',
      async () => {
        const phase = field(JSON.parse(await tributary('get', 'fj/trial', '-o', 'json')), 'status', 'phase');
        return phase === 'Complete' || phase === 'Failed' ? phase : undefined;
      },
      MINUTE,
      500,
    );
    assert.equal(ended, 'Complete');
  });

  it('asks the API for nothing: neither accounts nor pods connect to it', async () => {
    const { log } = machine.emulator;
    const ofPods = (): readonly string[] =>
      log.connections.filter(
        (from) => from.includes(machine.network.podPrefix) && !from.endsWith(machine.network.gateway),
      );
    assert.deepEqual(ofPods(), []);
    const accounts = await kubectl(
      'get',
      'pods',
      '-A',
      '-o',
      'jsonpath={.items[*].spec.automountServiceAccountToken}',
    );
    assert.deepEqual(new Set(accounts.split(' ')), new Set(['false']));
    // The log would show it: a pod that does connect is in it.
    await applyText('curious.yaml', stringify(CURIOUS));
    await kubectl(
      '-n',
      'hub',
      'wait',
      '--for=jsonpath={.status.phase}=Succeeded',
      'pod/curious',
      '--timeout=60s',
    );
    assert.equal(ofPods().length, 1);
  });

  it('keeps the identity of a site over the removal of its release', async () => {
    const site = 'north';
    const identity = async (): Promise<unknown> =>
      field(JSON.parse(await tributary('get', 'site/north', '-o', 'json')), 'status', 'agentId');
    const before = await identity();
    await kubectl('-n', 'kube-system', 'delete', 'helmchart', `tributary-${site}`, '--timeout=60s');
    await eventually(
      'the agent to be gone',
      () => (deploymentOf(site) === undefined ? true : undefined),
      MINUTE,
    );
    assert.equal(await identity(), before);
    await kubectl('apply', '-f', join(folder, `${site}.yaml`));
    await eventually('the agent to be there again', () => deploymentOf(site), MINUTE);
    await kubectl(
      '-n',
      'site-north',
      'wait',
      '--for=condition=Available',
      `deploy/tributary-${site}`,
      '--timeout=90s',
    );
    assert.match(
      await helm4(['test', `tributary-${site}`, '-n', 'site-north', '--timeout', '90s']),
      /Phase:\s+Succeeded/,
    );
    assert.equal(await identity(), before);
  });
});

const restricted = (name: string): object => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
});

const tables = (namespace: string): object => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'tables', namespace },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
});

const policy = (name: string, key: string): object => ({
  apiVersion: 'tributary.dev/v1alpha1',
  kind: 'SitePolicy',
  metadata: { name },
  spec: {
    authors: [{ name: 'operator', key }],
    datasets: [{ name: 'trial', columns: ['*'], minimumRows: 1 }],
    ...{ minimumCohort: 1, requireSecureAggregation: false, metrics: ['auc'] },
  },
});

const SITE_VALUES = {
  tables: [{ claim: 'tables', mountPath: '/tables' }],
  datasets: [{ name: 'trial', path: '/tables/trial.csv', format: 'Csv' }],
  trainer: { backend: 'Wasm' },
  preStopSeconds: 0,
};

const CURIOUS = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'curious', namespace: 'hub' },
  spec: {
    restartPolicy: 'Never',
    securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'curious',
        image: 'registry.tributary.dev/tributary/agent:0',
        command: ['node', '-e'],
        args: [
          'require("net").connect(process.env.KUBERNETES_SERVICE_PORT, process.env.KUBERNETES_SERVICE_HOST).end()',
        ],
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
};
