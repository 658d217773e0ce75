import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';

import { execute, type Ran } from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { GENERATIONS, toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { Emulator } from '../support/kube-api/emulator.js';
import type { KubeObject } from '../support/kube-api/objects.js';
import { eventually } from '../support/waiting.js';

const SECURE = {
  ...{ allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: { drop: ['ALL'] } },
  seccompProfile: { type: 'RuntimeDefault' },
};

const deployment = (containers: readonly object[], replicas = 1): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { terminationGracePeriodSeconds: 0, containers },
    },
  },
});
const container = (name: string, env: Readonly<Record<string, string>> = {}): object => ({
  ...{ name, image: 'web:1', securityContext: SECURE },
  env: Object.entries(env).map(([variable, value]) => ({ name: variable, value })),
});
const configMap = (data: Readonly<Record<string, string>>): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'settings', labels: { app: 'web' } },
  data,
});

for (const generation of GENERATIONS) {
  const missing = toolsOf(generation) === undefined;
  describe(`kubectl beside ${generation} on an emulator of Kubernetes${missing ? WHY_SKIPPED : ''}`, function () {
    this.timeout(60_000);
    let emulator: Emulator;
    const program = toolsOf(generation)?.kubectl ?? '';

    const kubectl = (args: readonly string[], input?: object): Promise<Ran> =>
      execute(program, args, input === undefined ? '' : JSON.stringify(input), {
        KUBECONFIG: emulator.kubeconfig,
      });
    const succeed = async (args: readonly string[], input?: object): Promise<string> => {
      const { code, stdout, stderr } = await kubectl(args, input);
      assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
      return stdout;
    };
    const fail = async (args: readonly string[], input?: object): Promise<string> => {
      const { code, stderr } = await kubectl(args, input);
      assert.notEqual(code, 0, args.join(' '));
      return stderr;
    };
    const object = async (...args: readonly string[]): Promise<KubeObject> =>
      JSON.parse(await succeed(['get', ...args, '-o', 'json'])) as KubeObject;
    const apply = (input: object, ...args: readonly string[]): Promise<string> =>
      succeed(['apply', '-f', '-', ...args], input);

    before(async function () {
      if (missing) this.skip();
      emulator = await Emulator.start({ version: generation === 'helm 3' ? '1.31.4' : '1.35.1' });
    });
    after(async () => {
      await (emulator as Emulator | undefined)?.stop();
    });
    afterEach(async () => {
      await succeed(['delete', 'deploy,cm', '--all', '--wait=false']);
    });

    it('finds every kind, and those of other projects', async () => {
      const printed = await succeed(['api-resources', '-o', 'name']);
      for (const name of [
        'deployments.apps',
        'pods',
        'helmcharts.helm.cattle.io',
        'ingressroutetcps.traefik.io',
      ])
        assert.ok(printed.split('\n').includes(name), name);
      assert.match(await succeed(['explain', 'deployment.spec.strategy.rollingUpdate']), /maxUnavailable/);
    });

    it('applies from its own side: what is left out goes, what others wrote stays', async () => {
      await apply(configMap({ a: '1', b: '2' }));
      await succeed(['patch', 'cm', 'settings', '--type=merge', '-p', '{"data":{"theirs":"3"}}']);
      assert.match(await apply(configMap({ a: '4' })), /configured/);
      assert.deepEqual((await object('cm', 'settings'))['data'], { a: '4', theirs: '3' });
      assert.match(await apply(configMap({ a: '4' })), /unchanged/);
    });

    it('merges lists by their keys', async () => {
      await apply(deployment([container('web', { A: '1', B: '2' }), container('side')]));
      await succeed(['set', 'env', 'deploy/web', '-c', 'web', 'THEIRS=3']);
      await apply(deployment([container('web', { A: '4' })]));
      const containers = listAt(await object('deploy', 'web'), 'spec', 'template', 'spec', 'containers');
      assert.deepEqual(
        containers.map((one) => field(one, 'name')),
        ['web'],
      );
      assert.deepEqual(
        listAt(containers[0], 'env').map((one) => [field(one, 'name'), field(one, 'value')]),
        [
          ['A', '4'],
          ['THEIRS', '3'],
        ],
      );
    });

    it('applies at the server: fields have owners, and conflicts are told', async () => {
      const server = ['--server-side', '--field-manager'];
      await apply(configMap({ a: '1', b: '2' }), ...server, 'ours');
      await apply(configMap({ c: '3' }), ...server, 'theirs');
      await apply(configMap({ a: '1' }), ...server, 'ours');
      assert.deepEqual((await object('cm', 'settings'))['data'], { a: '1', c: '3' });
      const refused = await fail(['apply', '-f', '-', ...server, 'theirs'], configMap({ a: '9', c: '3' }));
      assert.match(refused, /conflict with "ours".*\.data\.a/s);
      await apply(configMap({ a: '9', c: '3' }), ...server, 'theirs', '--force-conflicts');
      const forced = JSON.parse(
        await succeed(['get', 'cm', 'settings', '-o', 'json', '--show-managed-fields']),
      ) as KubeObject;
      assert.deepEqual(forced['data'], { a: '9', c: '3' });
      const owners = (forced.metadata.managedFields ?? []).map(({ manager, fieldsV1 }) => [
        manager,
        Object.keys(fieldsV1['f:data'] ?? {}),
      ]);
      assert.deepEqual(new Map(owners as [string, string[]][]).get('theirs'), ['f:a', 'f:c']);
    });

    it('runs what it is given, waits for it, and shows it', async () => {
      await apply(deployment([container('web')], 2));
      await succeed(['wait', '--for=condition=Available', 'deploy/web', '--timeout=20s']);
      await succeed(['rollout', 'status', 'deploy/web', '--timeout=20s']);
      assert.match(await succeed(['get', 'deploy']), /web\s+2\/2\s+2\s+2/);
      assert.match(await succeed(['describe', 'deploy', 'web']), /Replicas:\s+2 desired \| 2 updated/);
      const pods = await succeed(['get', 'pods', '-l', 'app in (web),!gone', '-o', 'name']);
      assert.equal(pods.trim().split('\n').length, 2);
      assert.equal(
        await succeed(['get', 'pods', '--field-selector', 'status.phase=Failed', '-o', 'name']),
        '',
      );
      await succeed(['scale', 'deploy', 'web', '--replicas=1']);
      await eventually('one pod', async () => {
        const left = (await succeed(['get', 'pods', '-l', 'app=web', '-o', 'name'])).trim().split('\n');
        return left.length === 1 ? true : undefined;
      });
    });

    it('rolls out and back', async () => {
      await apply(deployment([container('web', { A: '1' })]));
      await succeed(['rollout', 'status', 'deploy/web', '--timeout=20s']);
      await apply(deployment([container('web', { A: '2' })]));
      await succeed(['rollout', 'status', 'deploy/web', '--timeout=20s']);
      assert.equal(
        (await object('deploy', 'web')).metadata.annotations?.['deployment.kubernetes.io/revision'],
        '2',
      );
      await succeed(['rollout', 'undo', 'deploy/web']);
      await succeed(['rollout', 'status', 'deploy/web', '--timeout=20s']);
      const back = await object('deploy', 'web');
      assert.equal(field(back, 'spec', 'template', 'spec', 'containers', 0, 'env', 0, 'value'), '1');
      assert.equal(back.metadata.annotations?.['deployment.kubernetes.io/revision'], '3');
    });

    it('watches from where it listed', async () => {
      await apply(configMap({ a: '1' }));
      const child = spawn(program, ['get', 'cm', '-l', 'app=web', '-w', '-o', 'jsonpath={.data.a} '], {
        env: { ...process.env, KUBECONFIG: emulator.kubeconfig },
      });
      let seen = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (seen += text));
      try {
        await eventually('the first', () => (seen.includes('1') ? true : undefined));
        await apply(configMap({ a: '2' }));
        await eventually('the second', () => (seen.trim() === '1 2' ? true : undefined));
      } finally {
        child.kill();
      }
    });

    it('patches by JSON, and keeps what has a finalizer until that is gone', async () => {
      await apply(configMap({ a: '1', b: '2' }));
      const patch = (...operations: readonly object[]): Promise<Ran> =>
        kubectl(['patch', 'cm', 'settings', '--type=json', '-p', JSON.stringify(operations)]);
      const finalizers = '/metadata/finalizers';
      const first = await patch(
        { op: 'test', path: '/data/a', value: '1' },
        { op: 'remove', path: '/data/b' },
        { op: 'add', path: finalizers, value: ['tributary.dev/held'] },
      );
      assert.equal(first.code, 0, first.stderr);
      assert.deepEqual((await object('cm', 'settings'))['data'], { a: '1' });
      assert.notEqual((await patch({ op: 'test', path: '/data/a', value: '2' })).code, 0);
      await succeed(['delete', 'cm', 'settings', '--wait=false']);
      assert.notEqual((await object('cm', 'settings')).metadata.deletionTimestamp, undefined);
      await patch({ op: 'remove', path: `${finalizers}/0` });
      assert.match(await fail(['get', 'cm', 'settings']), /not found/);
    });

    it('changes nothing on trial', async () => {
      assert.match(await apply(configMap({ a: '1' }), '--dry-run=server'), /server dry run/);
      assert.match(await fail(['get', 'cm', 'settings']), /not found/);
      await apply(configMap({ a: '1' }));
      await apply(configMap({ a: '2' }), '--dry-run=server', '--server-side', '--force-conflicts');
      await succeed(['delete', 'cm', 'settings', '--dry-run=server']);
      assert.deepEqual((await object('cm', 'settings'))['data'], { a: '1' });
    });

    it('refuses unknown fields, values of another type, and a version that is old', async () => {
      const odd = { ...configMap({ a: '1' }), dta: { b: '1' } };
      assert.match(await fail(['apply', '-f', '-'], odd), /strict decoding error: unknown field "dta"/);
      await apply(odd, '--validate=ignore');
      assert.equal((await object('cm', 'settings'))['dta'], undefined);
      assert.match(
        await fail(['apply', '-f', '-'], deployment([container('web')], 'two' as unknown as number)),
        /replicas/,
      );
      const old = await object('cm', 'settings');
      await apply(configMap({ a: '2' }));
      assert.match(await fail(['replace', '-f', '-'], { ...old, data: { a: '3' } }), /modified/);
    });

    it('refuses a Service whose name begins with a digit, and takes such a name for others', async () => {
      const spec = { ports: [{ port: 80 }], selector: { app: 'web' } };
      const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: '3web' }, spec };
      assert.match(await fail(['create', '-f', '-'], service), /"3web": a DNS-1035 label/);
      await apply({ ...configMap({}), metadata: { name: '3web' } });
    });

    it('refuses pods that are not restricted where a namespace says so', async () => {
      const labels = {
        'pod-security.kubernetes.io/enforce': 'restricted',
        'pod-security.kubernetes.io/warn': 'restricted',
      };
      await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'strict', labels } });
      const loose = { spec: { containers: [{ name: 'a', image: 'a' }] } };
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'loose' }, ...loose };
      assert.match(
        await fail(['-n', 'strict', 'create', '-f', '-'], pod),
        /violates PodSecurity "restricted/,
      );
      const { stderr } = await kubectl(
        ['-n', 'strict', 'create', '-f', '-'],
        deployment([{ name: 'a', image: 'a' }]),
      );
      assert.match(stderr, /Warning: would violate PodSecurity/);
    });

    it('deletes what is owned, and namespaces with all that is in them', async () => {
      await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shortlived' } });
      await succeed(['-n', 'shortlived', 'create', '-f', '-'], deployment([container('web')]));
      await succeed(['-n', 'shortlived', 'wait', '--for=condition=Available', 'deploy/web', '--timeout=20s']);
      await succeed(['-n', 'shortlived', 'delete', 'deploy', 'web', '--cascade=foreground', '--timeout=20s']);
      assert.equal(await succeed(['-n', 'shortlived', 'get', 'pods,rs', '-o', 'name']), '');
      await succeed(['-n', 'shortlived', 'create', '-f', '-'], configMap({}));
      await succeed(['delete', 'namespace', 'shortlived', '--timeout=20s']);
      assert.match(await fail(['get', 'namespace', 'shortlived']), /not found/);
    });

    it('leaves a log of what it asked', async () => {
      const before = emulator.log.requests.length;
      await succeed(['get', 'secrets', '-A']);
      const asked = emulator.log.requests
        .slice(before)
        .filter(({ path }) => path === join('/api/v1', 'secrets'));
      assert.deepEqual(
        asked.map(({ verb, code }) => [verb, code]),
        [['GET', 200]],
      );
      assert.match(asked[0]?.userAgent ?? '', /kubectl/);
    });
  });
}
