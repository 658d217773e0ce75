import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { stringify } from 'yaml';

import { repositoryRoot } from '../support/daemon.js';
import {
  manifestOf,
  manifestsOf,
  render,
  type ChartName,
  type Manifest,
  type Values,
} from '../support/kube/charts.js';
import { field } from '../support/kube/field.js';
import { toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { containerOf } from '../support/oci/bundle.js';
import { runnableImage } from '../support/oci/images.js';
import { cable, networkNamespace, type NetworkNamespace } from '../support/network-namespace.js';
import { containerEnvironment } from '../support/oci/pod-environment.js';
import { podVolumes, type Keys, type PodSources, type PodVolumes } from '../support/oci/pod-volumes.js';
import { startContainer, WHY_NO_CONTAINERS, type RunningContainer } from '../support/oci/run.js';
import { readmeSteps } from '../support/readme-steps.js';
import { trialJob } from '../support/trial-job.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const generation = 'helm 3';
const why = (toolsOf(generation) === undefined ? WHY_SKIPPED : '') + WHY_NO_CONTAINERS;
const HUB = 'hub-tributary-coordinator';
const NORTH = 'north-tributary-agent';
const SEAL = { 'hub-seal': { 'seal.key': Buffer.alloc(32, 7).toString('base64') } };

/** A pod of a rendered chart with everything that its containers are given. */
class Pod {
  readonly #spec: unknown;
  readonly #sources: PodSources;
  readonly #volumes: PodVolumes;
  readonly #network: NetworkNamespace;
  readonly #files: Readonly<Record<string, string>>;
  readonly #image: 'coordinator' | 'agent';
  readonly started: RunningContainer[] = [];

  private constructor(
    spec: unknown,
    sources: PodSources,
    volumes: PodVolumes,
    options: { network: NetworkNamespace; hosts: string; image: 'coordinator' | 'agent' },
  ) {
    this.#spec = spec;
    this.#sources = sources;
    this.#volumes = volumes;
    this.#network = options.network;
    this.#files = { '/etc/hosts': options.hosts };
    this.#image = options.image;
  }

  static async make(
    spec: unknown,
    sources: PodSources,
    options: { folder: string; network: NetworkNamespace; hosts: string; image: 'coordinator' | 'agent' },
  ): Promise<Pod> {
    return new Pod(spec, sources, await podVolumes(spec, sources, options.folder), options);
  }

  async start(container: string): Promise<RunningContainer> {
    const started = await startContainer({
      ...{ container, pod: this.#spec, volumes: this.#volumes, files: this.#files },
      image: await runnableImage(this.#image),
      variables: containerEnvironment(containerOf(this.#spec, container), this.#sources),
      network: { namespace: this.#network.path },
    });
    this.started.push(started);
    return started;
  }

  /** Runs a container that has to end well, and gives what it printed. */
  async complete(container: string): Promise<string> {
    const started = await this.start(container);
    assert.equal(await started.exited, 0, await started.log());
    return started.log();
  }
}

const configMapsOf = (rendered: readonly Manifest[]): Readonly<Record<string, Keys>> =>
  Object.fromEntries(
    rendered
      .filter(({ kind }) => kind === 'ConfigMap')
      .map(({ metadata, ['data']: data }) => [metadata.name, (data ?? {}) as Keys]),
  );

describe(`images under runc, as the charts start them${why}`, function () {
  this.timeout(580_000);
  let folder: TemporaryDirectory;
  const networks: NetworkNamespace[] = [];
  const pods: Pod[] = [];
  let coordinator: RunningContainer;
  let agent: RunningContainer;
  let hubPod: Pod;
  let hub: readonly Manifest[];

  const podOf = async (
    rendered: readonly Manifest[],
    options: { chart: ChartName; name: string; network: NetworkNamespace; secrets: PodSources['secrets'] },
  ): Promise<Pod> => {
    const { chart, name, network, secrets = {} } = options;
    const spec = field(manifestOf(rendered, 'Deployment'), 'spec', 'template', 'spec');
    const claims = { [name]: join(folder.path, `${name}-claim`) };
    const pod = await Pod.make(
      spec,
      { secrets, claims, configMaps: configMapsOf(rendered) },
      {
        ...{ network, hosts: join(folder.path, 'hosts'), folder: join(folder.path, name) },
        image: chart === 'tributary-agent' ? 'agent' : 'coordinator',
      },
    );
    pods.push(pod);
    return pod;
  };
  const chart = (name: ChartName, release: string, values: Values): Promise<readonly Manifest[]> =>
    render(name, { generation, release, values });

  before(async function () {
    if (why !== '') this.skip();
    folder = await temporaryDirectory();
    const [first, second] = [networkNamespace(), networkNamespace()];
    networks.push(first, second);
    cable(first, second);
    const hosts = ['127.0.0.1 localhost', `10.203.7.1 hub.example.org ${HUB} ${HUB}-metrics`, ''].join('\n');
    await writeFile(join(folder.path, 'hosts'), hosts);

    hub = await chart('tributary-coordinator', 'hub', {
      federation: { name: 'clinics', host: 'hub.example.org' },
      sealKey: { existingSecret: 'hub-seal' },
    });
    hubPod = await podOf(hub, {
      ...{ chart: 'tributary-coordinator', name: HUB, network: first },
      secrets: SEAL,
    });
    await hubPod.complete('init');
    coordinator = await hubPod.start('coordinator');
    await said(coordinator, '"msg":"serving"');

    const { code, stdout, stderr } = await coordinator.exec('tributary', 'invite', 'north');
    assert.equal(code, 0, stderr);
    const site = await chart('tributary-agent', 'north', {
      joinToken: { existingSecret: 'north-token' },
      policy: {
        document: await readFile(join(repositoryRoot, 'deploy/examples/loans/site-policy.yaml'), 'utf8'),
      },
    });
    const pod = await podOf(site, {
      ...{ chart: 'tributary-agent', name: NORTH, network: second },
      secrets: { 'north-token': { token: stdout } },
    });
    await pod.complete('join');
    assert.equal((await coordinator.exec('tributary', 'approve', 'north')).code, 0);
    agent = await pod.start('agent');
    await eventually(
      'the site to be ready',
      async () => {
        const { stdout: sites } = await coordinator.exec('tributary', 'get', 'sites');
        assert.ok(agent.running(), await agent.log());
        return /^north +True/m.exec(sites)?.[0];
      },
      120_000,
      500,
    );
  });
  after(async () => {
    for (const container of pods.flatMap(({ started }) => started)) await container.stop();
    for (const network of networks) network.remove();
    await folder?.remove();
  });

  const said = (container: RunningContainer, words: string): Promise<string> =>
    eventually(
      words,
      async () => {
        const log = await container.log();
        if (log.includes(words)) return log;
        assert.ok(container.running(), log);
        return undefined;
      },
      120_000,
    );

  it('run as the user of the pod, without capabilities, new privileges or free system calls', async () => {
    for (const container of [coordinator, agent]) {
      const status = await readFile(`/proc/${String(container.pid)}/status`, 'utf8');
      const of = (name: string): string => new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm').exec(status)?.[1] ?? '';
      for (const name of ['Uid', 'Gid']) assert.equal(of(name), '65532\t65532\t65532\t65532');
      assert.equal(of('Groups'), '65532');
      for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        assert.equal(of(name), '0'.repeat(16));
      assert.deepEqual([of('NoNewPrivs'), of('Seccomp')], ['1', '2']);
    }
  });

  it('write to their volume and to /tmp, and nowhere else', async () => {
    const tries = (path: string): string =>
      `fs.writeFileSync(${JSON.stringify(path)}, ''); fs.rmSync(${JSON.stringify(path)})`;
    for (const container of [coordinator, agent]) {
      for (const path of ['/var/lib/tributary/x', '/tmp/x']) {
        const { code, stderr } = await container.exec('node', '-e', tries(path));
        assert.equal(code, 0, stderr);
      }
      for (const path of ['/x', '/opt/tributary/x', '/etc/tributary/x', '/usr/local/bin/node']) {
        const { code, stderr } = await container.exec('node', '-e', tries(path));
        assert.equal(code, 1);
        assert.match(stderr, /EROFS|EACCES/);
      }
    }
  });

  it('hold what operators call by name, and no shell', async () => {
    const { stdout } = await coordinator.exec('cat', '/var/lib/tributary/operator.yaml');
    assert.match(stdout, /hub\.example\.org:7445/);
    assert.equal((await agent.exec('tributary-agent', 'status')).code, 0);
    assert.match((await agent.exec('sh', '-c', 'true')).stderr, /executable file not found/);
  });

  it('pass the test of the chart, which runs in the image too', async () => {
    const spec = field(manifestOf(hub, 'Pod'), 'spec');
    const [network] = networks;
    assert.ok(network !== undefined);
    const test = await Pod.make(
      spec,
      {},
      {
        ...{
          network,
          hosts: join(folder.path, 'hosts'),
          folder: join(folder.path, 'test'),
          image: 'coordinator',
        },
      },
    );
    pods.push(test);
    const log = await test.complete('test');
    assert.match(log, /7443 speaks TLS/);
    assert.match(log, /serves [0-9]+ lines/);
  });

  it('say that they have joined already, and go on with what is on the volume after a restart', async () => {
    assert.equal(await coordinator.stop(45_000), 0, await coordinator.log());
    await hubPod.complete('init');
    coordinator = await hubPod.start('coordinator');
    await said(coordinator, '"msg":"serving"');
    assert.match((await coordinator.exec('tributary', 'get', 'sites')).stdout, /north/);
  });

  it('stop when told, with exit code 0', async () => {
    for (const container of [agent, coordinator])
      assert.equal(await container.stop(45_000), 0, await container.log());
  });

  it('are restored from a backup as deploy/README.md says, with the jobs that were on it', async () => {
    const page = await readFile(join(repositoryRoot, 'deploy/README.md'), 'utf8');
    /** What a heading has `kubectl exec` do in a pod: with the redirections of the shell outside. */
    const execs = async (heading: string, { id }: RunningContainer): Promise<void> => {
      for (const step of readmeSteps(page, heading)) {
        const [, words] =
          step.kind === 'command' ? (/^kubectl .* exec .*? -- (.*)$/.exec(step.line) ?? []) : [];
        if (words === undefined) continue;
        await promisify(execFile)('bash', ['-c', `runc exec ${id} ${words}`], { cwd: folder.path });
      }
    };
    const volume = join(folder.path, `${HUB}-claim`);
    coordinator = await hubPod.start('coordinator');
    await said(coordinator, '"msg":"serving"');
    const job = join(volume, 'job.yaml');
    await writeFile(job, stringify(trialJob('kept')), { mode: 0o644 });
    const applied = await coordinator.exec('tributary', 'apply', '-f', '/var/lib/tributary/job.yaml');
    assert.equal(applied.code, 0, applied.stderr);
    await execs('Upgrade', coordinator);
    await coordinator.stop(45_000);

    const [file] = readmeSteps(page, 'Restore on a cluster').flatMap((step) =>
      step.kind === 'file' ? manifestsOf(step.text) : [],
    );
    const spec = file?.['spec'];
    const deployed = field(manifestOf(hub, 'Deployment'), 'spec', 'template', 'spec');
    // Else what is private on the volume would be opened to its group, and be refused afterwards.
    for (const path of [['securityContext'], ['containers', 0, 'image']])
      assert.deepEqual(field(spec, ...path), field(deployed, ...path), path.join('.'));
    const [network] = networks;
    assert.ok(network !== undefined);
    const restore = await Pod.make(
      spec,
      { secrets: SEAL, claims: { [HUB]: volume } },
      {
        ...{ network, hosts: join(folder.path, 'hosts'), folder: join(folder.path, 'restore') },
        image: 'coordinator',
      },
    );
    pods.push(restore);
    const container = await restore.start('restore');
    await execs('Restore on a cluster', container);
    await container.stop(1_000);
    assert.ok((await readdir(volume)).includes('hub.lost'));

    await hubPod.complete('init');
    coordinator = await hubPod.start('coordinator');
    await said(coordinator, '"msg":"serving"');
    assert.match((await coordinator.exec('tributary', 'get', 'fj')).stdout, /^kept /m);
    assert.match((await coordinator.exec('tributary', 'get', 'sites')).stdout, /^north /m);
  });
});
