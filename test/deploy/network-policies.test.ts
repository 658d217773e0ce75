import assert from 'node:assert/strict';

import { render, type ChartName, type Manifest, type Values } from '../support/kube/charts.js';
import { toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { isAllowed, type Endpoint } from '../support/kube/traffic.js';

const generation = 'helm 4';
const missing = toolsOf(generation) === undefined;

const pod = (component: string, chart: ChartName, namespace = 'tributary'): Endpoint => ({
  namespace,
  labels: {
    'app.kubernetes.io/name': chart,
    'app.kubernetes.io/instance': 'north',
    'app.kubernetes.io/component': component,
  },
});
const OUTSIDE = { address: '203.0.113.9' };
const STRANGER = { namespace: 'other', labels: { app: 'x' } };
const NEIGHBOUR = { namespace: 'tributary', labels: { app: 'x' } };
const PROMETHEUS = { namespace: 'monitoring', labels: { app: 'prometheus' } };
const DNS = { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } };

type Question = readonly [from: Endpoint, to: Endpoint, port: number, protocol?: 'TCP' | 'UDP'];

function judge(policies: readonly Manifest[], wanted: boolean, questions: readonly Question[]): void {
  for (const [from, to, port, protocol = 'TCP'] of questions) {
    const found = isAllowed(policies, { from, to, port, protocol });
    assert.equal(found, wanted, `${JSON.stringify(from)} to ${JSON.stringify(to)}, port ${String(port)}`);
  }
}

describe(`network policies of the charts, judged by their specification${missing ? WHY_SKIPPED : ''}`, function () {
  before(function () {
    if (missing) this.skip();
  });

  const coordinator = pod('coordinator', 'tributary-coordinator');
  const agent = pod('agent', 'tributary-agent');
  const broker = pod('broker', 'tributary-agent');
  const policies = (chart: ChartName, values: Values): Promise<readonly Manifest[]> =>
    render(chart, { generation, values });

  it('let agents, operators and Prometheus reach the coordinator, nobody its health port from afar', async () => {
    const rendered = await policies('tributary-coordinator', { federation: { host: 'hub' } });
    const test = pod('test', 'tributary-coordinator');
    judge(rendered, true, [
      ...[7443, 7444].flatMap((port): Question[] => [
        [OUTSIDE, coordinator, port],
        [STRANGER, coordinator, port],
      ]),
      [NEIGHBOUR, coordinator, 7445],
      [PROMETHEUS, coordinator, 7447],
      [test, coordinator, 7447],
      [test, DNS, 53, 'UDP'],
    ]);
    judge(rendered, false, [
      [OUTSIDE, coordinator, 7445],
      [STRANGER, coordinator, 7445],
      [STRANGER, coordinator, 7447],
      [OUTSIDE, coordinator, 7446],
      [NEIGHBOUR, coordinator, 22],
      [test, OUTSIDE, 443],
    ]);
  });

  it('let the coordinator open no connection at all', async () => {
    const rendered = await policies('tributary-coordinator', { federation: { host: 'hub' } });
    judge(rendered, false, [
      [coordinator, OUTSIDE, 443],
      [coordinator, DNS, 53, 'UDP'],
      [coordinator, NEIGHBOUR, 80],
    ]);
  });

  it('let an agent dial its coordinator and DNS, and be dialled by Prometheus alone', async () => {
    const rendered = await policies('tributary-agent', {});
    judge(rendered, true, [
      [agent, OUTSIDE, 443],
      [agent, OUTSIDE, 7443],
      [agent, OUTSIDE, 7444],
      [agent, DNS, 53, 'UDP'],
      [agent, DNS, 53],
      [PROMETHEUS, agent, 7447],
    ]);
    judge(rendered, false, [
      [agent, OUTSIDE, 80],
      [agent, OUTSIDE, 53, 'UDP'],
      [agent, OUTSIDE, 1883],
      [OUTSIDE, agent, 7446],
      [STRANGER, agent, 7447],
      [NEIGHBOUR, agent, 8080],
    ]);
  });

  it("let an agent dial the coordinator's tunnel, whatever its port", async () => {
    const coordinator = { tunnel: '[2001:db8::7]:9448' };
    const rendered = await policies('tributary-agent', { coordinator });
    judge(rendered, true, [
      [agent, OUTSIDE, 9448],
      [agent, OUTSIDE, 7443],
    ]);
    const alone = await policies('tributary-agent', { coordinator, networkPolicy: { coordinatorPorts: [] } });
    judge(alone, true, [[agent, OUTSIDE, 9448]]);
    judge(alone, false, [[agent, OUTSIDE, 7443]]);
  });

  it('let Traefik reach the port of operators where it has a route there', async () => {
    const traefik = { namespace: 'kube-system', labels: { 'app.kubernetes.io/name': 'traefik' } };
    const advertise = { fleet: 'a.example.org:443', enrol: 'b.example.org:443' };
    const values = { federation: { host: 'hub' }, traefik: { enabled: true }, advertise };
    judge(await policies('tributary-coordinator', values), false, [[traefik, coordinator, 7445]]);
    const routed = await policies('tributary-coordinator', {
      ...values,
      advertise: { ...advertise, admin: 'c.example.org:443' },
      networkPolicy: { agents: [{ podSelector: {} }] },
    });
    judge(routed, true, [
      [traefik, coordinator, 7445],
      [traefik, coordinator, 7443],
      [NEIGHBOUR, coordinator, 7445],
    ]);
    judge(routed, false, [
      [STRANGER, coordinator, 7445],
      [OUTSIDE, coordinator, 7443],
    ]);
  });

  it('ask for names where the values say that they are answered', async () => {
    const ports = [{ port: 5353, protocol: 'UDP' }];
    const dns = { peers: [{ ipBlock: { cidr: '203.0.113.9/32' } }], ports };
    const rendered = await policies('tributary-agent', { networkPolicy: { dns } });
    judge(rendered, true, [[agent, OUTSIDE, 5353, 'UDP']]);
    judge(rendered, false, [
      [agent, DNS, 53, 'UDP'],
      [agent, OUTSIDE, 53, 'UDP'],
    ]);
  });

  it('keep an agent with nothing to dial from dialling anything', async () => {
    const values = { networkPolicy: { coordinatorPorts: [], metrics: [] }, tests: { enabled: false } };
    const rendered = await policies('tributary-agent', values);
    judge(rendered, false, [
      [agent, OUTSIDE, 443],
      [agent, OUTSIDE, 22],
      [PROMETHEUS, agent, 7447],
    ]);
  });

  it('lead an agent behind a proxy to the proxy, and past it only where noProxy says so', async () => {
    const proxy = { url: 'http://proxy.example.org:3128' };
    const rendered = await policies('tributary-agent', {
      proxy,
      networkPolicy: { proxy: [{ ipBlock: { cidr: '203.0.113.0/28' } }] },
    });
    judge(rendered, true, [[agent, OUTSIDE, 3128]]);
    judge(rendered, false, [
      [agent, { address: '203.0.113.77' }, 3128],
      [agent, OUTSIDE, 7443],
    ]);
    const direct = await policies('tributary-agent', { proxy: { ...proxy, noProxy: ['hub.example.org'] } });
    judge(direct, true, [[agent, OUTSIDE, 7443]]);
  });

  it('open the ports of brokers and of the endpoint where there are some', async () => {
    const rendered = await policies('tributary-agent', {
      brokers: [
        { name: 'ward', url: 'mqtts://broker.ward' },
        { name: 'lab', url: 'mqtt://broker.lab:1999' },
      ],
      broker: { enabled: true, existingSecret: 'mqtt' },
      serving: { enabled: true, tokenSecret: { name: 'x' } },
    });
    judge(rendered, true, [
      [agent, OUTSIDE, 8883],
      [agent, OUTSIDE, 1999],
      [agent, broker, 1883],
      [NEIGHBOUR, broker, 1883],
      [NEIGHBOUR, agent, 8080],
      [NEIGHBOUR, agent, 8081],
    ]);
    judge(rendered, false, [
      [agent, OUTSIDE, 1883],
      [STRANGER, broker, 1883],
      [STRANGER, agent, 8080],
      [broker, OUTSIDE, 443],
      [broker, DNS, 53, 'UDP'],
    ]);
  });
});
