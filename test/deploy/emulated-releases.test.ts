import assert from 'node:assert/strict';

import { chartFolder, CHARTS, helm, type ChartName, type Ran, type Values } from '../support/kube/charts.js';
import { field } from '../support/kube/field.js';
import { GENERATIONS, toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { Emulator } from '../support/kube-api/emulator.js';
import type { KubeObject } from '../support/kube-api/objects.js';

const VALUES: Readonly<Record<ChartName, Values>> = {
  'tributary-coordinator': { federation: { host: 'hub.example.org' }, preStopSeconds: 0 },
  'tributary-agent': { joinToken: { value: 'trib1.abc' }, preStopSeconds: 0 },
};
const WAIT = ['--wait', '--timeout', '60s'];

for (const generation of GENERATIONS) {
  const missing = toolsOf(generation) === undefined;
  describe(`releases of ${generation} on an emulator of Kubernetes${missing ? WHY_SKIPPED : ''}`, function () {
    this.timeout(120_000);
    let emulator: Emulator;

    const run = async (args: readonly string[], values?: Values): Promise<string> => {
      const { code, stdout, stderr }: Ran = await helm(generation, args, values, {
        KUBECONFIG: emulator.kubeconfig,
      });
      assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
      return stdout;
    };
    const objects = (kind: string, namespace: string): readonly KubeObject[] =>
      emulator.api.store.list(emulator.api.kinds.named(kind), namespace);
    const only = (kind: string, namespace: string): KubeObject => {
      const [found, ...others] = objects(kind, namespace);
      assert.ok(found !== undefined && others.length === 0, `${String(others.length + 1)} ${kind}`);
      return found;
    };
    const alivePod = (namespace: string): KubeObject => {
      const [pod] = objects('Pod', namespace).filter(
        ({ metadata }) => metadata.deletionTimestamp === undefined,
      );
      assert.ok(pod !== undefined);
      return pod;
    };
    const settings = (namespace: string): string =>
      JSON.stringify(objects('ConfigMap', namespace).map((map) => map['data']));

    before(async function () {
      if (missing) this.skip();
      emulator = await Emulator.start();
    });
    after(async () => {
      await (emulator as Emulator | undefined)?.stop();
    });

    for (const chart of CHARTS) {
      const namespace = `of-${chart}`;
      const release = ['north', chartFolder(chart), '-n', namespace];
      const values = VALUES[chart];
      let claim = '';

      it(`${chart}: is installed, and waited for until its pod is ready`, async () => {
        await run(['install', ...release, '--create-namespace', ...WAIT], values);
        claim = only('PersistentVolumeClaim', namespace).metadata.uid ?? '';
        assert.equal(field(only('Deployment', namespace), 'status', 'readyReplicas'), 1);
        assert.equal(field(only('PersistentVolumeClaim', namespace), 'status', 'phase'), 'Bound');
        assert.deepEqual(
          objects('Secret', namespace)
            .map((secret) => secret['type'])
            .filter((type) => type !== 'Opaque'),
          ['helm.sh/release.v1'],
        );
        assert.equal(
          objects('PrometheusRule', namespace).length,
          1,
          'a cluster that knows the kind gets the rules',
        );
      });

      it(`${chart}: replaces its pod when a setting changes, on the same volume`, async () => {
        const before = alivePod(namespace).metadata.uid;
        await run(['upgrade', ...release, ...WAIT], values);
        assert.equal(alivePod(namespace).metadata.uid, before, 'nothing changed');
        await run(['upgrade', ...release, ...WAIT], { ...values, logLevel: 'debug' });
        assert.notEqual(alivePod(namespace).metadata.uid, before);
        assert.match(settings(namespace), /debug/);
        assert.equal(only('PersistentVolumeClaim', namespace).metadata.uid, claim);
      });

      it(`${chart}: is rolled back, on the same volume`, async () => {
        await run(['rollback', 'north', '1', '-n', namespace, ...WAIT]);
        assert.doesNotMatch(settings(namespace), /debug/);
        assert.equal(only('PersistentVolumeClaim', namespace).metadata.uid, claim);
        assert.match(await run(['history', 'north', '-n', namespace]), /Rollback to 1/);
      });

      it(`${chart}: runs its test`, async () => {
        assert.match(await run(['test', 'north', '-n', namespace]), /Phase:\s+Succeeded/);
      });

      it(`${chart}: leaves its volume, and takes it up again`, async () => {
        await run(['uninstall', 'north', '-n', namespace, ...WAIT]);
        assert.equal(only('PersistentVolumeClaim', namespace).metadata.uid, claim);
        for (const kind of ['Deployment', 'Service', 'Secret', 'NetworkPolicy', 'PrometheusRule'])
          assert.deepEqual(objects(kind, namespace), [], kind);
        await run(['install', ...release, '--take-ownership', ...WAIT], values);
        assert.equal(only('PersistentVolumeClaim', namespace).metadata.uid, claim);
      });
    }

    it('refuses values that the API would refuse, and says so', async () => {
      // The schema leaves what is inside to the API.
      const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: 'here' };
      const bad = { ...VALUES['tributary-agent'], affinity: { nodeAffinity } };
      const { code, stderr } = await helm(
        generation,
        ['install', 'south', chartFolder('tributary-agent'), '-n', 'south', '--create-namespace'],
        bad,
        { KUBECONFIG: emulator.kubeconfig },
      );
      assert.notEqual(code, 0);
      assert.match(stderr, /nodeAffinity/);
    });
  });
}
