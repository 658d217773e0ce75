import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { loadConfig, loadReplicaConfig } from '@tributary/edge-agent/internal/config.js';
import { LIMITS } from '@tributary/proto';

import { commandFault } from '../support/command-trees.js';
import { repositoryRoot } from '../support/daemon.js';
import { CHARTS, manifestOf, render, type ChartName, type Manifest } from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { VALUE_SETS } from '../support/kube/value-sets.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

const generation = 'helm 4';
const missing = toolsOf(generation) === undefined;

const manifests = (chart: ChartName, set: string): Promise<readonly Manifest[]> => {
  const values = VALUE_SETS[chart][set];
  assert.ok(values !== undefined, set);
  return render(chart, { generation, values });
};
const WORKLOADS = { 'tributary-coordinator': 'coordinator', 'tributary-agent': 'agent' } as const;
const EVERY_SET = CHARTS.flatMap((chart) =>
  Object.keys(VALUE_SETS[chart]).map((set): readonly [ChartName, string] => [chart, set]),
);

/** The Deployment of the daemon, not that of a broker. */
function workload(rendered: readonly Manifest[], chart: ChartName): Manifest {
  const found = rendered.find(
    ({ kind, metadata }) =>
      kind === 'Deployment' && metadata.labels?.['app.kubernetes.io/component'] === WORKLOADS[chart],
  );
  assert.ok(found !== undefined);
  return found;
}

const podSpec = (deployment: Manifest): unknown => field(deployment, 'spec', 'template', 'spec');
const containersOf = (pod: unknown): readonly unknown[] => [
  ...listAt(pod, 'initContainers'),
  ...listAt(pod, 'containers'),
];

describe(`workloads of the charts${missing ? WHY_SKIPPED : ''}`, function () {
  this.timeout(120_000);
  before(function () {
    if (missing) this.skip();
  });

  for (const [chart, set] of EVERY_SET) {
    it(`${chart}, ${set}: starts commands that exist, with variables that are read`, async () => {
      const rendered = await manifests(chart, set);
      const pod = podSpec(workload(rendered, chart));
      for (const container of containersOf(pod)) {
        const line = [chart, ...listAt(container, 'args').map(String)].join(' ');
        assert.equal(commandFault(line), undefined);
      }
      const config = await Promise.all(
        ['coordinator', 'edge-agent'].map((name) =>
          readFile(join(repositoryRoot, name, 'src/config.ts'), 'utf8'),
        ),
      );
      const named = JSON.stringify(rendered).match(/TRIBUTARY_[A-Z_]+/g) ?? [];
      assert.ok(named.length > 0);
      for (const variable of named) assert.ok(config.join('').includes(`'${variable}'`), variable);
    });

    it(`${chart}, ${set}: owns its volume alone, is probed, and has time to drain`, async () => {
      const deployment = workload(await manifests(chart, set), chart);
      assert.equal(field(deployment, 'spec', 'replicas'), 1);
      assert.deepEqual(field(deployment, 'spec', 'strategy'), { type: 'Recreate' });
      const pod = podSpec(deployment);
      assert.equal(field(pod, 'automountServiceAccountToken'), false);
      const [main] = listAt(pod, 'containers');
      for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
        assert.equal(field(main, probe, 'grpc', 'port'), 7446, probe);
      const seconds = Number(field(pod, 'terminationGracePeriodSeconds'));
      const pause = Number(field(main, 'lifecycle', 'preStop', 'sleep', 'seconds') ?? 0);
      assert.ok(seconds * 1_000 > pause * 1_000 + LIMITS.drainMs + 2_000);
    });

    it(`${chart}, ${set}: mounts only what it has, writes only to its volume and /tmp`, async () => {
      const pod = podSpec(workload(await manifests(chart, set), chart));
      const volumes = listAt(pod, 'volumes');
      const names = volumes.map((volume) => field(volume, 'name'));
      const used = new Set<unknown>();
      for (const container of containersOf(pod)) {
        assert.equal(field(container, 'securityContext', 'readOnlyRootFilesystem'), true);
        const mounts = listAt(container, 'volumeMounts');
        const paths = mounts.map((mount) => field(mount, 'mountPath'));
        assert.equal(new Set(paths).size, paths.length);
        for (const mount of mounts) {
          used.add(field(mount, 'name'));
          const writable = ['/var/lib/tributary', '/tmp'].includes(String(field(mount, 'mountPath')));
          assert.equal(field(mount, 'readOnly') === true, !writable, JSON.stringify(mount));
        }
      }
      assert.deepEqual(new Set(names), used);
      for (const volume of volumes) {
        const mode = field(volume, 'secret', 'defaultMode') ?? field(volume, 'projected', 'defaultMode');
        const holdsSecret = field(volume, 'secret') !== undefined || field(volume, 'projected') !== undefined;
        assert.equal(mode, holdsSecret ? 0o440 : undefined, JSON.stringify(volume));
      }
    });
  }

  for (const set of Object.keys(VALUE_SETS['tributary-agent'])) {
    it(`tributary-agent, ${set}: has an agent.yaml that the agent takes`, async () => {
      const rendered = await manifests('tributary-agent', set);
      const text = field(manifestOf(rendered, 'ConfigMap', 'north-tributary-agent'), 'data', 'agent.yaml');
      const folder = await temporaryDirectory();
      try {
        const config = join(folder.path, 'agent.yaml');
        await writeFile(config, String(text));
        const [main] = listAt(podSpec(workload(rendered, 'tributary-agent')), 'containers');
        const replica = listAt(main, 'args').includes('serve');
        const loaded = replica ? loadReplicaConfig({ config }, {}) : loadConfig({ config }, {});
        const mounted = listAt(main, 'volumeMounts').map((mount) => String(field(mount, 'mountPath')));
        for (const path of pathsOf(loaded)) {
          assert.ok(
            mounted.some((mount) => path.startsWith(`${mount}/`)),
            `${path} lies outside of ${mounted.join(', ')}`,
          );
        }
        assert.deepEqual([loaded.healthPort, loaded.metricsPort], [7446, 7447]);
      } finally {
        await folder.remove();
      }
    });
  }

  it('give their further variables to the container that starts first too', async () => {
    for (const chart of CHARTS) {
      const pod = podSpec(workload(await manifests(chart, 'everything that a pod takes'), chart));
      const names = containersOf(pod).map((one) => listAt(one, 'env').map((each) => field(each, 'name')));
      for (const given of names)
        assert.ok(given.includes('NODE_OPTIONS') || given.includes('TF_CPP_MIN_LOG_LEVEL'));
      assert.equal(names.length, 2);
    }
  });

  it('run, with broker and test, where the values say', async () => {
    const place = {
      nodeSelector: { disk: 'fast' },
      tolerations: [{ key: 'dedicated', operator: 'Exists' }],
      affinity: { podAntiAffinity: {} },
      priorityClassName: 'high',
    };
    const broker = { broker: { enabled: true, existingSecret: 'mqtt' } };
    for (const chart of CHARTS) {
      const own = chart === 'tributary-agent' ? broker : { federation: { host: 'hub' } };
      const rendered = await render(chart, { generation, values: { ...own, ...place } });
      const pods = rendered.flatMap((one) =>
        one.kind === 'Deployment' ? [podSpec(one)] : one.kind === 'Pod' ? [one['spec']] : [],
      );
      assert.equal(pods.length, chart === 'tributary-agent' ? 3 : 2);
      for (const pod of pods)
        for (const [name, value] of Object.entries(place)) assert.deepEqual(field(pod, name), value, name);
    }
  });

  it('keep their volumes over upgrade and removal, unless told otherwise', async () => {
    for (const chart of CHARTS) {
      const [first = ''] = Object.keys(VALUE_SETS[chart]);
      const kept = manifestOf(await manifests(chart, first), 'PersistentVolumeClaim');
      assert.equal(kept.metadata.annotations?.['helm.sh/resource-policy'], 'keep');
      const loose = manifestOf(await manifests(chart, 'as little as possible'), 'PersistentVolumeClaim');
      assert.equal(loose.metadata.annotations, undefined);
    }
  });

  it('select by labels that no upgrade changes', async () => {
    for (const [chart, set] of EVERY_SET) {
      const deployment = workload(await manifests(chart, set), chart);
      const selector = field(deployment, 'spec', 'selector', 'matchLabels') as object;
      assert.deepEqual(Object.keys(selector).sort(), [
        'app.kubernetes.io/component',
        'app.kubernetes.io/instance',
        'app.kubernetes.io/name',
      ]);
      const labels = field(deployment, 'spec', 'template', 'metadata', 'labels') as Record<string, unknown>;
      for (const [name, value] of Object.entries(selector)) assert.equal(labels[name], value);
    }
  });

  it('are replaced when their settings change, and not when the policy does', async () => {
    const annotations = async (values: Record<string, unknown>): Promise<unknown> => {
      const rendered = await render('tributary-agent', { generation, values });
      return field(workload(rendered, 'tributary-agent'), 'spec', 'template', 'metadata', 'annotations');
    };
    const before = await annotations({ policy: { document: 'a: 1' } });
    assert.deepEqual(await annotations({ policy: { document: 'a: 2' } }), before);
    assert.notDeepEqual(await annotations({ policy: { document: 'a: 1' }, logLevel: 'debug' }), before);
  });

  it('ask for a GPU, its runtime and the image with CUDA behind one switch', async () => {
    const pod = podSpec(workload(await manifests('tributary-agent', 'a GPU'), 'tributary-agent'));
    const [main] = listAt(pod, 'containers');
    assert.equal(field(main, 'resources', 'limits', 'nvidia.com/gpu'), 2);
    assert.equal(field(listAt(pod, 'initContainers')[0], 'resources', 'limits', 'nvidia.com/gpu'), undefined);
    assert.equal(field(pod, 'runtimeClassName'), 'nvidia');
    assert.match(String(field(main, 'image')), /-cuda$/);
    assert.ok(listAt(pod, 'tolerations').some((one) => field(one, 'key') === 'nvidia.com/gpu'));
    const plain = JSON.stringify(await manifests('tributary-agent', 'smallest'));
    assert.doesNotMatch(plain, /nvidia|cuda/);
  });
});

/** Every absolute path in a configuration. */
function pathsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return value.startsWith('/') ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, entry]) => (name === 'environment' ? [] : pathsOf(entry)));
}
