import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { chartFolder, helm } from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { Emulator } from '../support/kube-api/emulator.js';
import { PretendedRuntime } from '../support/kube-api/kubelet/pretended-runtime.js';
import type { KubeObject } from '../support/kube-api/objects.js';
import { eventually } from '../support/waiting.js';

const WRITING = { manager: 'test' };
const isRoot = process.getuid?.() === 0;

const pod = (name: string, spec: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { containers: [{ name: 'main', image: 'x' }], terminationGracePeriodSeconds: 1, ...spec },
});

describe('pods of an emulator of Kubernetes', function () {
  this.timeout(60_000);
  let emulator: Emulator;
  /** Starts of each pod's container. */
  const starts = new Map<string, number>();
  /** Whether what is pretended is well. */
  let isWell = true;

  const create = (object: KubeObject): Promise<KubeObject> =>
    emulator.api.create(emulator.api.kinds.named(object.kind), 'default', object, WRITING);
  const find = (name: string): KubeObject | undefined =>
    emulator.api.store.get(emulator.api.kinds.named('Pod'), 'default', name);
  const when = (name: string, holds: (found: KubeObject) => boolean): Promise<KubeObject> =>
    eventually(`the pod ${name}`, () => [find(name)].find((found) => found !== undefined && holds(found)));
  const phase = (found: KubeObject): unknown => field(found, 'status', 'phase');
  const isReady = (found: KubeObject): boolean =>
    field(found, 'status', 'containerStatuses', 0, 'ready') === true;
  const restarts = (found: KubeObject): unknown =>
    field(found, 'status', 'containerStatuses', 0, 'restartCount');

  before(async () => {
    const runtime = new PretendedRuntime(({ metadata }, name) => {
      const count = (starts.get(metadata.name) ?? 0) + 1;
      starts.set(metadata.name, count);
      if (name === 'test' || metadata.name === 'broken') return 1;
      return metadata.name === 'fragile' && count < 3 ? 1 : 'runs';
    });
    emulator = await Emulator.start({ runtime, prober: () => Promise.resolve(isWell) });
  });
  after(() => emulator.stop());

  it('start again what ends, and count that', async () => {
    await create(pod('fragile'));
    const found = await when('fragile', isReady);
    assert.equal(restarts(found), 2);
    assert.equal(field(found, 'status', 'containerStatuses', 0, 'lastState', 'terminated', 'exitCode'), 1);
  });

  it('have failed where they may not start again', async () => {
    await create(pod('broken', { restartPolicy: 'Never' }));
    const found = await when('broken', (one) => phase(one) === 'Failed');
    assert.equal(restarts(found), 0);
  });

  it('are ready as long as their probe says so, and end when they are not alive', async () => {
    const probe = { exec: { command: ['x'] }, periodSeconds: 1, failureThreshold: 1 };
    const containers = [{ name: 'main', image: 'x', readinessProbe: probe }];
    await create(pod('probed', { containers }));
    await create(pod('alive', { containers: [{ name: 'main', image: 'x', livenessProbe: probe }] }));
    await when('probed', isReady);
    isWell = false;
    try {
      assert.equal(restarts(await when('probed', (found) => !isReady(found))), 0);
      await when('alive', (found) => Number(restarts(found)) > 0);
    } finally {
      isWell = true;
    }
    await when('probed', isReady);
  });

  it(`wait for their Secret, say so, and see it change${isRoot ? '' : ' (needs root, to give files away)'}`, async function () {
    if (!isRoot) this.skip();
    const volumes = [{ name: 'key', secret: { secretName: 'key' } }];
    await create(pod('waiting', { volumes }));
    const { api } = emulator;
    await eventually('an event', () =>
      api.store
        .list(api.kinds.named('Event'), 'default')
        .find((event) => /secret "key" not found/.test(String(event['message']))),
    );
    assert.equal(phase(await when('waiting', () => true)), 'Pending');
    const data = (text: string): object => ({ key: Buffer.from(text).toString('base64') });
    await create({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key' }, data: data('one') });
    const { metadata } = await when('waiting', isReady);
    const file = join(emulator.folder, 'pods', metadata.uid ?? '', 'volumes/key/key');
    assert.equal(await readFile(file, 'utf8'), 'one');
    const at = { namespace: 'default', name: 'key' };
    await api.patch(api.kinds.named('Secret'), at, 'merge', { data: data('two') }, WRITING);
    await eventually('the new key', async () =>
      (await readFile(file, 'utf8')) === 'two' ? true : undefined,
    );
  });

  it('run to their end in Jobs, again until one is good or enough have failed', async () => {
    const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'test', image: 'x' }] } };
    const spec = { backoffLimit: 1, template };
    await create({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'once' }, spec });
    const { api } = emulator;
    const job = await eventually('the end of the Job', () => {
      const found = api.store.get(api.kinds.named('Job'), 'default', 'once');
      return listAt(found, 'status', 'conditions').length > 0 ? found : undefined;
    });
    assert.equal(field(job, 'status', 'conditions', 0, 'type'), 'Failed');
    assert.equal(field(job, 'status', 'failed'), 2);
  });

  const missing = toolsOf('helm 3') === undefined;
  it(`make "helm test" fail where they fail${missing ? WHY_SKIPPED : ''}`, async function () {
    if (missing) this.skip();
    const env = { KUBECONFIG: emulator.kubeconfig };
    const values = { federation: { host: 'hub' }, fullnameOverride: 'hub' };
    const installed = await helm(
      'helm 3',
      ['install', 'hub', chartFolder('tributary-coordinator')],
      values,
      env,
    );
    assert.equal(installed.code, 0, installed.stderr);
    const tested = await helm('helm 3', ['test', 'hub'], undefined, env);
    assert.notEqual(tested.code, 0);
    assert.match(tested.stderr + tested.stdout, /Failed|failed/);
  });
});
