import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { AGENT_CHART, chartArchive } from '@tributary/coordinator/internal/cli/chart-archive.js';
import { requireValues } from '@tributary/coordinator/internal/cli/chart-values.js';
import { decodeJoinToken, ERROR_TABLE, sha256, type JsonObject } from '@tributary/proto';
import { parse } from 'yaml';

import { BINARIES, repositoryRoot, runCommand, type Finished } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import {
  chartFolder,
  execute,
  manifestOf,
  manifestsOf,
  type ChartName,
  type Manifest,
} from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { podOf, restrictedFaults } from '../support/kube/pod-security.js';
import { REFUSED } from '../support/kube/refused-values.js';
import { schemaFault } from '../support/kube/schemas.js';
import { GENERATIONS, toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { unknownFields } from '../support/kube/unknown-fields.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const POLICY = join(repositoryRoot, 'deploy/examples/loans/site-policy.yaml');

/** Everything with which a chart's templates refuse values. */
async function refusalsOf(chart: ChartName): Promise<readonly RegExp[]> {
  const folder = join(chartFolder(chart), 'templates');
  const files = (await readdir(folder)).filter((name) => name.includes('.'));
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')));
  const words = texts.flatMap((text) => [...text.matchAll(/(?:\bfail|fail \(printf|\brequired) "([^"]+)"/g)]);
  assert.ok(words.length > 8);
  return words.map(
    ([, message = '']) =>
      new RegExp(message.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&').replaceAll(/%s|%d/g, '.+')),
  );
}

describe('tributary site manifest', function () {
  this.timeout(120_000);
  let folder: TemporaryDirectory;
  let federation: LocalFederation;

  before(async () => {
    folder = await temporaryDirectory();
    federation = await LocalFederation.start(join(folder.path, 'hub'));
  });
  after(async () => {
    await federation.stop();
    await folder.remove();
  });

  const manifest = (...args: readonly string[]): Promise<Finished> =>
    runCommand(BINARIES.tributary, ['--config', federation.contextFile, 'site', 'manifest', ...args]);
  const printed = async (...args: readonly string[]): Promise<readonly Manifest[]> => {
    const { code, stdout, stderr } = await manifest(...args);
    assert.equal(code, 0, stderr);
    return manifestsOf(stdout);
  };

  it('holds values against the chart before helm does', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    for (const [words, values] of [
      [/logLevel: /, { logLevel: 'loud' }],
      [/image\.digest: /, { image: { digest: 'abc' } }],
    ] as const)
      await assert.rejects(requireValues(AGENT_CHART, values), words);
    const said: string[] = [];
    for (const [chart, values, words] of REFUSED) {
      if (chart !== 'tributary-agent') continue;
      await assert.rejects(requireValues(AGENT_CHART, values as JsonObject), (error: Error) => {
        assert.match(error.message, words, JSON.stringify(values));
        said.push(error.message);
        return true;
      });
    }
    for (const words of await refusalsOf('tributary-agent'))
      assert.ok(
        said.some((message) => words.test(message)),
        String(words),
      );
    await requireValues(AGENT_CHART, {});
    await requireValues(AGENT_CHART, { gpu: { enabled: true, tagSuffix: '' }, image: { digest } });
    await requireValues(AGENT_CHART, { image: { tag: '1.2' }, resources: { limits: { memory: '8Gi' } } });
  });

  it('prints namespace, token, policy and chart, which Kubernetes understands', async () => {
    const values = join(folder.path, 'values.yaml');
    await writeFile(values, 'logLevel: debug\njoinToken: { value: trib1.mine }\n');
    const objects = await printed('north', '--policy', POLICY, '--values', values, '--label', 'ward=a');
    assert.deepEqual(
      objects.map(({ kind }) => kind),
      ['Namespace', 'Secret', 'ConfigMap', 'HelmChart'],
    );
    for (const object of objects) {
      assert.deepEqual(unknownFields(object), []);
      assert.equal(await schemaFault(object), undefined);
    }
    const token = field(manifestOf(objects, 'Secret'), 'stringData', 'token');
    assert.equal(decodeJoinToken(String(token)).site, 'north');
    const policy = field(manifestOf(objects, 'ConfigMap'), 'data', 'site-policy.yaml');
    assert.equal(policy, await readFile(POLICY, 'utf8'));
    const { spec, metadata } = manifestOf(objects, 'HelmChart');
    assert.deepEqual([metadata.name, metadata.namespace], ['tributary-north', 'kube-system']);
    assert.equal(field(spec, 'targetNamespace'), 'tributary-north');
    const given = parse(String(field(spec, 'valuesContent'))) as unknown;
    assert.equal(field(given, 'logLevel'), 'debug');
    assert.deepEqual(field(given, 'joinToken'), {
      existingSecret: 'tributary-north.join-token',
      key: 'token',
    });
    assert.ok(!JSON.stringify(spec).includes(String(token)), 'the token stands in the Secret alone');
  });

  it('keeps what the values say of the broker that it asks for', async () => {
    const file = join(folder.path, 'broker.yaml');
    await writeFile(file, 'broker:\n  serviceType: LoadBalancer\n');
    const { spec } = manifestOf(await printed('west', '--values', file, '--broker', 'mqtt'), 'HelmChart');
    assert.deepEqual(field(parse(String(field(spec, 'valuesContent'))) as unknown, 'broker'), {
      serviceType: 'LoadBalancer',
      enabled: true,
      existingSecret: 'mqtt',
    });
  });

  it('invites nobody and prints no token for the upgrade of a site that has joined', async () => {
    const before = await manifest('ward', '--policy', POLICY);
    assert.equal(before.code, 0, before.stderr);
    assert.match(before.stderr, /install -m 0600 tributary-ward\.yaml \S+\/tributary-ward\.yaml/);
    const early = await manifest('ward', '--policy', POLICY, '--upgrade');
    assert.equal(early.code, ERROR_TABLE.CONFLICT.exit, early.stderr);
    assert.match(early.stderr, /no agent of site ward has joined/);
    const token = field(manifestOf(manifestsOf(before.stdout), 'Secret'), 'stringData', 'token');
    await federation.writeSite({ name: 'ward', csv: 'a,y\n1,yes\n', dataset: 'rows' });
    const agent = join(federation.siteFolder('ward'), 'agent.yaml');
    const joined = await runCommand(BINARIES.agent, ['join', '--config', agent, '--token', String(token)]);
    assert.equal(joined.code, 0, joined.stderr);
    const [invited, upgraded] = [
      manifestsOf(before.stdout),
      await printed('ward', '--policy', POLICY, '--upgrade'),
    ];
    assert.deepEqual(
      upgraded,
      invited.filter(({ kind }) => kind !== 'Secret'),
    );
    assert.equal(upgraded.length, invited.length - 1);
    // The replica of a site is another release, and has not joined with it.
    assert.match((await manifest('ward', '--upgrade', '--serving')).stderr, /no replica of site ward/);
  });

  it('gives an agent and a replica of one site two files', async () => {
    assert.equal((await manifest('pair')).code, 0);
    const { code, stderr } = await manifest('pair', '--serving');
    assert.equal(code, 0, stderr);
    assert.match(stderr, /install -m 0600 replica-pair\.yaml \S+\/replica-pair\.yaml$/m);
  });

  it('leaves a namespace that it does not make as it is', async () => {
    for (const namespace of ['default', 'tributary-other']) {
      const { code, stdout, stderr } = await manifest('guest', '--namespace', namespace);
      assert.equal(code, 0, stderr);
      const objects = manifestsOf(stdout);
      assert.deepEqual(
        objects.map(({ kind }) => kind),
        ['Secret', 'HelmChart'],
      );
      assert.equal(manifestOf(objects, 'Secret').metadata.namespace, namespace);
      assert.match(stderr, new RegExp(`namespace ${namespace} is not in it, and has to be there`));
    }
  });

  it('holds the chart as it is, the same bytes each time, for any tar', async () => {
    const archive = await chartArchive(AGENT_CHART);
    assert.deepEqual(sha256(await chartArchive(AGENT_CHART)), sha256(archive));
    const file = join(folder.path, 'chart.tgz');
    await writeFile(file, archive);
    await promisify(execFile)('tar', ['xzf', file, '-C', folder.path]);
    const { stdout } = await promisify(execFile)('diff', [
      '-r',
      AGENT_CHART,
      join(folder.path, 'tributary-agent'),
    ]);
    assert.equal(stdout, '');
  });

  it('refuses what it cannot use before it invites anybody', async () => {
    const bad = join(folder.path, 'bad.yaml');
    await writeFile(bad, 'kind: SitePolicy\n');
    const [typo, broken] = [join(folder.path, 'typo.yaml'), join(folder.path, 'broken.yaml')];
    await writeFile(typo, 'logLevle: debug\n');
    await writeFile(broken, 'a: [1\n');
    const refusals: readonly (readonly [RegExp, ...string[]])[] = [
      [/names of sites on a cluster/, 'a.b'],
      [/at most 43/, 'a'.repeat(44)],
      [/--namespace/, 'east', '--namespace', 'kube-system'],
      [/--broker/, 'east', '--broker', 'A b'],
      [/KEY=VALUE/, 'east', '--label', 'x'],
      [/--ttl/, 'east', '--ttl', 'soon'],
      [/Unrecognized key: "logLevle"/, 'east', '--values', typo],
      [/is not YAML/, 'east', '--values', broken],
      [/cannot be read/, 'east', '--policy', join(folder.path, 'none.yaml')],
      [/apiVersion|spec/, 'east', '--policy', bad],
      [/no chart of agents/, 'east', '--chart', folder.path],
      [/--upgrade .*no --label/, 'east', '--upgrade', '--label', 'ward=a'],
      [/--upgrade .*no --ttl and no --approve/, 'east', '--upgrade', '--ttl', '1h', '--approve'],
      [/NOT_FOUND.*east/, 'east', '--upgrade'],
    ];
    for (const [words, ...args] of refusals) {
      const { code, stdout, stderr } = await manifest(...args);
      assert.notEqual(code, 0);
      assert.equal(stdout, '');
      assert.match(stderr, words);
    }
    assert.equal((await manifest('a.b')).code, ERROR_TABLE.USAGE.exit);
    const described = await runCommand(BINARIES.tributary, [
      '--config',
      federation.contextFile,
      'get',
      'sites',
    ]);
    assert.doesNotMatch(described.stdout, /east/);
  });

  it('says no and on as words, which Kubernetes reads as YAML 1.1', async () => {
    const file = join(folder.path, 'words.yaml');
    await writeFile(file, 'podAnnotations: { ward: no, y: "12:30" }\n');
    const objects = await printed('no', '--namespace', 'on', '--values', file);
    for (const { metadata } of objects) assert.equal(metadata.labels?.['tributary.dev/site'], 'no');
    assert.equal(manifestOf(objects, 'Secret').metadata.namespace, 'on');
    const { spec } = manifestOf(objects, 'HelmChart');
    assert.equal(field(spec, 'targetNamespace'), 'on');
    const given = parse(String(field(spec, 'valuesContent')), { version: '1.1' }) as unknown;
    assert.deepEqual(field(given, 'podAnnotations'), { ward: 'no', y: '12:30' });
  });

  it('gives no two sites one name, nor an agent and a replica of one', async () => {
    const names = async (...args: readonly string[]): Promise<readonly string[]> =>
      (await printed(...args)).map(
        ({ kind, metadata: { namespace = '', name } }) => `${kind} ${namespace}/${name}`,
      );
    const namespace = ['--namespace', 'shared'];
    const all = [
      ...(await names('south', ...namespace, '--policy', POLICY)),
      ...(await names('south-policy', ...namespace)),
      ...(await names('a'.repeat(43), ...namespace)),
      ...(await names('south-replica', ...namespace)),
    ].filter((name) => !name.startsWith('Namespace'));
    assert.equal(new Set(all).size, all.length, all.join('\n'));
    for (const name of all.filter((one) => one.startsWith('HelmChart')))
      assert.ok(name.length - 'HelmChart kube-system/'.length <= 53, name);
  });

  for (const generation of GENERATIONS) {
    const tools = toolsOf(generation);
    it(`is a release that ${generation} renders, as K3s would${tools === undefined ? WHY_SKIPPED : ''}`, async function () {
      if (tools === undefined) this.skip();
      const objects = await printed('west', '--policy', POLICY, '--broker', 'mqtt');
      const { spec } = manifestOf(objects, 'HelmChart');
      const chart = join(folder.path, 'west.tgz');
      await writeFile(chart, Buffer.from(String(field(spec, 'chartContent')), 'base64'));
      const namespace = String(field(spec, 'targetNamespace'));
      const { code, stdout, stderr } = await execute(
        tools.helm,
        ['template', 'tributary-west', chart, '--namespace', namespace, '-f', '-'],
        String(field(spec, 'valuesContent')),
      );
      assert.equal(code, 0, stderr);
      const rendered = manifestsOf(stdout);
      const pod = podOf(manifestOf(rendered, 'Deployment', 'tributary-west'));
      assert.deepEqual(restrictedFaults(pod), []);
      const sources = listAt(pod, 'volumes').flatMap((volume) => [
        field(volume, 'secret', 'secretName'),
        field(volume, 'configMap', 'name'),
      ]);
      const known = [...objects, ...rendered].map(({ metadata }) => metadata.name);
      for (const name of sources.filter((source) => typeof source === 'string'))
        assert.ok(known.includes(name) || name === 'mqtt', name);
      manifestOf(rendered, 'Deployment', 'tributary-west-broker');
    });
  }
});
