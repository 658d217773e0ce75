import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { chartFolder, CHARTS, helm, manifestsOf, render, type Manifest } from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { podOf, restrictedFaults } from '../support/kube/pod-security.js';
import { REFUSED } from '../support/kube/refused-values.js';
import { schemaFault } from '../support/kube/schemas.js';
import { GENERATIONS, toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { unknownFields } from '../support/kube/unknown-fields.js';
import { VALUE_SETS } from '../support/kube/value-sets.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

/** The oldest that the charts take, the one on either side of the action "sleep", and the newest. */
const KUBE_VERSIONS = ['1.27.0', '1.29.9+k3s1', '1.30.0', '1.35.2'];
const MONITORED = ['monitoring.coreos.com/v1'];

const describeManifest = ({ kind, metadata }: Manifest): string => `${kind}/${metadata.name}`;

async function faultsOf(manifest: Manifest): Promise<readonly string[]> {
  const schema = await schemaFault(manifest);
  const pod = podOf(manifest);
  return [
    ...unknownFields(manifest),
    ...(schema === undefined ? [] : [schema]),
    ...(pod === undefined ? [] : restrictedFaults(pod)),
    ...(manifest.metadata.namespace === 'tributary' ? [] : ['no namespace']),
    ...(manifest.metadata.name.length > 63 ? ['a name longer than 63 characters'] : []),
    ...labelFaults(manifest),
  ].map((fault) => `${describeManifest(manifest)}: ${fault}`);
}

function labelFaults({ metadata }: Manifest): readonly string[] {
  const wanted = ['name', 'instance', 'version', 'part-of', 'managed-by'];
  return wanted
    .filter((name) => typeof metadata.labels?.[`app.kubernetes.io/${name}`] !== 'string')
    .map((name) => `no label app.kubernetes.io/${name}`);
}

for (const generation of GENERATIONS) {
  const missing = toolsOf(generation) === undefined;
  describe(`charts with ${generation}${missing ? WHY_SKIPPED : ''}`, function () {
    this.timeout(120_000);
    before(function () {
      if (missing) this.skip();
    });

    for (const chart of CHARTS) {
      for (const [name, values] of Object.entries(VALUE_SETS[chart])) {
        it(`${chart}, ${name}: passes lint`, async () => {
          const { code, stdout } = await helm(generation, ['lint', '--strict', chartFolder(chart)], values);
          assert.equal(code, 0, stdout);
        });

        for (const kubeVersion of KUBE_VERSIONS) {
          it(`${chart}, ${name}: is understood by Kubernetes ${kubeVersion}, and restricted`, async () => {
            const apis = kubeVersion === '1.27.0' ? [] : MONITORED;
            const manifests = await render(chart, { generation, values, kubeVersion, apis });
            assert.ok(manifests.length > 3);
            const faults = await Promise.all(manifests.map(faultsOf));
            assert.deepEqual(faults.flat(), []);
            const names = manifests.map((manifest) => `${manifest.apiVersion} ${describeManifest(manifest)}`);
            assert.equal(new Set(names).size, names.length, 'two objects of one name');
            const custom = manifests.filter(({ apiVersion }) => MONITORED.includes(apiVersion));
            if (apis.length === 0) assert.deepEqual(custom, []);
          });
        }
      }

      it(`${chart} refuses a cluster that is too old`, async () => {
        const [values = {}] = Object.values(VALUE_SETS[chart]);
        await assert.rejects(render(chart, { generation, values, kubeVersion: '1.26.9' }), /1\.27/);
      });
    }

    it('tells which value is wrong', async () => {
      for (const [chart, values, words] of REFUSED) {
        await assert.rejects(render(chart, { generation, values }), words, JSON.stringify(values));
      }
    });

    it('names Services as the API takes them, whatever helm takes for a release', async () => {
      for (const release of ['3north.x', 'a.b.c', `9${'x.'.repeat(25)}y`]) {
        for (const chart of CHARTS) {
          const values = chart === 'tributary-agent' ? {} : { federation: { host: 'hub' } };
          for (const { kind, metadata } of await render(chart, { generation, values, release }))
            assert.match(metadata.name, /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/, kind);
        }
      }
    });

    it('names objects and namespaces by words that YAML takes for something else', async () => {
      for (const word of ['null', 'true', 'on', 'y'])
        for (const chart of CHARTS) {
          const host = chart === 'tributary-agent' ? {} : { federation: { host: 'hub' } };
          const values = { ...host, fullnameOverride: word };
          const rendered = await render(chart, {
            generation,
            values,
            namespace: word === 'y' ? '0123' : word,
          });
          for (const { kind, metadata } of rendered) {
            assert.equal(metadata.namespace, word === 'y' ? '0123' : word, kind);
            assert.equal(typeof metadata.name, 'string', kind);
          }
          const [pod] = rendered.filter(({ kind }) => kind === 'Deployment').map(podOf);
          const hosts = listAt(pod, 'initContainers', '0', 'args');
          assert.ok(hosts.every((one) => typeof one === 'string'));
        }
    });

    it('are the same in a chart of charts as each by itself', async () => {
      const folder = await temporaryDirectory();
      try {
        const values = { 'tributary-coordinator': { federation: { host: 'hub' } }, 'tributary-agent': {} };
        await writeFile(join(folder.path, 'Chart.yaml'), 'apiVersion: v2\nname: both\nversion: 1.0.0\n');
        for (const chart of CHARTS)
          await cp(chartFolder(chart), join(folder.path, 'charts', chart), { recursive: true });
        const args = [
          'template',
          'north',
          folder.path,
          '--namespace',
          'tributary',
          '--kube-version',
          '1.31.0',
        ];
        const { code, stdout, stderr } = await helm(generation, args, values);
        assert.equal(code, 0, stderr);
        const alone = await Promise.all(
          CHARTS.map((chart) => render(chart, { generation, values: values[chart] })),
        );
        const sorted = (manifests: readonly Manifest[]): readonly Manifest[] =>
          manifests.toSorted((a, b) => describeManifest(a).localeCompare(describeManifest(b)));
        assert.deepEqual(sorted(manifestsOf(stdout)), sorted(alone.flat()));
      } finally {
        await folder.remove();
      }
    });

    it('waits without the action "sleep" where the cluster has none', async () => {
      const values = { federation: { host: 'hub' } };
      const preStop = async (kubeVersion: string): Promise<unknown> => {
        const manifests = await render('tributary-coordinator', { generation, values, kubeVersion });
        const deployment = manifests.find(({ kind }) => kind === 'Deployment');
        return field(deployment, 'spec', 'template', 'spec', 'containers', 0, 'lifecycle', 'preStop');
      };
      assert.deepEqual(listAt(await preStop('1.29.0'), 'exec', 'command').slice(0, 2), ['node', '-e']);
      assert.deepEqual(await preStop('1.30.0'), { sleep: { seconds: 5 } });
    });
  });
}
