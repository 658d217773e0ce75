import assert from 'node:assert/strict';

import type { Manifest } from '../support/kube/charts.js';
import { restrictedFaults } from '../support/kube/pod-security.js';
import { schemaFault } from '../support/kube/schemas.js';
import { unknownFields } from '../support/kube/unknown-fields.js';

const CONTAINER = {
  name: 'a',
  image: 'a',
  securityContext: {
    allowPrivilegeEscalation: false,
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
    capabilities: { drop: ['ALL'] },
  },
};
const container = (change: object): object => ({ containers: [{ ...CONTAINER, ...change }] });
const secured = (change: object): object =>
  container({ securityContext: { ...CONTAINER.securityContext, ...change } });

/** Pods that break one control each. */
const BROKEN: readonly (readonly [string, object, RegExp])[] = [
  ['the host network', { hostNetwork: true, containers: [CONTAINER] }, /hostNetwork/],
  ['the host processes', { hostPID: true, containers: [CONTAINER] }, /hostPID/],
  ['a host path', { volumes: [{ name: 'x', hostPath: { path: '/' } }], containers: [CONTAINER] }, /hostPath/],
  ['an NFS volume', { volumes: [{ name: 'x', nfs: {} }], containers: [CONTAINER] }, /nfs/],
  ['a host port', container({ ports: [{ containerPort: 1, hostPort: 1 }] }), /host port/],
  [
    'a sysctl',
    { securityContext: { sysctls: [{ name: 'kernel.msgmax' }] }, containers: [CONTAINER] },
    /sysctl/,
  ],
  ['privileges', secured({ privileged: true }), /privileged/],
  ['escalation', secured({ allowPrivilegeEscalation: true }), /allowPrivilegeEscalation/],
  ['escalation by default', container({ securityContext: {} }), /allowPrivilegeEscalation/],
  ['capabilities kept', secured({ capabilities: { drop: ['CHOWN'] } }), /not all dropped/],
  ['capabilities added', secured({ capabilities: { drop: ['ALL'], add: ['SYS_ADMIN'] } }), /added/],
  ['root', secured({ runAsUser: 0 }), /runAsUser/],
  ['perhaps root', secured({ runAsNonRoot: undefined }), /runAsNonRoot/],
  ['no seccomp', secured({ seccompProfile: { type: 'Unconfined' } }), /seccomp/],
  ['an SELinux user', secured({ seLinuxOptions: { user: 'root' } }), /SELinux/],
  ['no AppArmor', secured({ appArmorProfile: { type: 'Unconfined' } }), /AppArmor/],
  ['another /proc', secured({ procMount: 'Unmasked' }), /procMount/],
  [
    'a probe of another host',
    container({ livenessProbe: { httpGet: { host: '10.0.0.1' } } }),
    /another host/,
  ],
  ['an init container', { initContainers: [{ name: 'i' }], containers: [CONTAINER] }, /initContainers\/i/],
];

describe('the checker of Pod Security', () => {
  it('lets a restricted pod pass, and what a pod says for its containers', () => {
    assert.deepEqual(restrictedFaults({ containers: [CONTAINER] }), []);
    const { allowPrivilegeEscalation, capabilities, ...forPod } = CONTAINER.securityContext;
    const own = { allowPrivilegeEscalation, capabilities };
    assert.deepEqual(
      restrictedFaults({ securityContext: forPod, ...container({ securityContext: own }) }),
      [],
    );
    assert.deepEqual(
      restrictedFaults(secured({ capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } })),
      [],
    );
  });

  for (const [name, pod, words] of BROKEN) {
    it(`finds ${name}`, () => {
      assert.match(restrictedFaults(pod).join('\n'), words);
    });
  }
});

describe('the checkers of fields', () => {
  const deployment = (pod: object, spec: object = {}): Manifest => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'x' },
    spec: { selector: {}, template: { spec: { containers: [{ name: 'x', image: 'x' }], ...pod } }, ...spec },
  });

  it('find unknown fields at any depth', () => {
    assert.deepEqual(unknownFields(deployment({})), []);
    assert.deepEqual(unknownFields(deployment({ nodeName: 'a', nodename: 'a' })), [
      'Deployment.spec.template.spec.nodename: unknown field',
    ]);
    assert.match(
      unknownFields(deployment({ volumes: [{ name: 'x', secret: { secret: 'y' } }] })).join(),
      /secret\.secret/,
    );
  });

  it('find values of another type, nulls, and kinds that there are not', () => {
    assert.match(unknownFields(deployment({}, { replicas: '1' })).join(), /replicas: string where/);
    assert.match(unknownFields(deployment({ tolerations: null })).join(), /tolerations: null/);
    assert.match(unknownFields({ ...deployment({}), kind: 'Deploymet' }).join(), /not a kind/);
  });

  it('look into kinds of other projects too', () => {
    const rule = { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', metadata: { name: 'x' } };
    const groups = [{ name: 'x', rules: [{ alert: 'X', expr: 'up', fro: '5m' }] }];
    assert.match(unknownFields({ ...rule, spec: { groups } }).join(), /rules\[0\]\.fro: unknown/);
  });

  it('find what the schema forbids', async () => {
    assert.equal(await schemaFault(deployment({})), undefined);
    assert.match((await schemaFault(deployment({}, { template: { spec: {} } }))) ?? '', /containers/);
    assert.notEqual(await schemaFault(deployment({}, { replicas: 'one' })), undefined);
  });
});
