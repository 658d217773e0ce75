import { BlockList, isIPv6 } from 'node:net';

import type { Manifest } from './charts.js';
import { field, listAt } from './field.js';

type Labels = Readonly<Record<string, string>>;

export interface Pod {
  readonly namespace: string;
  readonly labels: Labels;
}

/** One end of a connection: a pod, or an address outside the cluster. */
export type Endpoint = Pod | { readonly address: string };

/** A connection to a port of `to`. */
export interface Connection {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly port: number;
  readonly protocol?: 'TCP' | 'UDP';
}

const isPod = (end: Endpoint): end is Extract<Endpoint, { labels: Labels }> => 'labels' in end;

/**
 * Whether NetworkPolicies let a connection through: both its ends must (networking.k8s.io/v1, "Network Policies"). A judgement
 * of the rendered objects by their specification, not of a network.
 */
export function isAllowed(policies: readonly Manifest[], connection: Connection): boolean {
  return passes(policies, connection, 'Egress') && passes(policies, connection, 'Ingress');
}

function passes(
  policies: readonly Manifest[],
  connection: Connection,
  direction: 'Ingress' | 'Egress',
): boolean {
  const [own, other] =
    direction === 'Ingress' ? [connection.to, connection.from] : [connection.from, connection.to];
  if (!isPod(own)) return true;
  const selecting = policies.filter((policy) => isSelected(policy, own, direction));
  if (selecting.length === 0) return true;
  const [rules, peers] = direction === 'Ingress' ? ['ingress', 'from'] : ['egress', 'to'];
  return selecting.some((policy) =>
    listAt(policy, 'spec', rules).some(
      (rule) =>
        opensPort(rule, connection) && namesPeer(listAt(rule, peers), other, policy.metadata.namespace ?? ''),
    ),
  );
}

/** Whether an object is a policy that decides about a direction of the pod's traffic. */
export function isSelected(policy: Manifest, pod: Pod, direction: 'Ingress' | 'Egress'): boolean {
  return (
    policy.kind === 'NetworkPolicy' &&
    (policy.metadata.namespace ?? 'default') === pod.namespace &&
    listAt(policy, 'spec', 'policyTypes').includes(direction) &&
    matches(field(policy, 'spec', 'podSelector'), pod.labels)
  );
}

function opensPort(rule: unknown, { port, protocol = 'TCP' }: Connection): boolean {
  const ports = listAt(rule, 'ports');
  return (
    ports.length === 0 ||
    ports.some((one) => field(one, 'port') === port && (field(one, 'protocol') ?? 'TCP') === protocol)
  );
}

/** A rule without peers names everybody. */
function namesPeer(peers: readonly unknown[], end: Endpoint, namespace: string): boolean {
  return peers.length === 0 || peers.some((peer) => isNamed(peer, end, namespace));
}

function isNamed(peer: unknown, end: Endpoint, namespace: string): boolean {
  return isPod(end) ? namesPod(peer, end, namespace) : isWithin(field(peer, 'ipBlock'), end.address);
}

/** Whether a peer of a policy in that namespace selects the pod; blocks of addresses select none. */
export function namesPod(peer: unknown, end: Pod, namespace: string): boolean {
  if (field(peer, 'ipBlock') !== undefined) return false;
  const pods = field(peer, 'podSelector');
  const namespaces = field(peer, 'namespaceSelector');
  const labels = { 'kubernetes.io/metadata.name': end.namespace };
  const near = namespaces === undefined ? end.namespace === namespace : matches(namespaces, labels);
  return near && (pods === undefined || matches(pods, end.labels));
}

function isWithin(block: unknown, address: string): boolean {
  if (block === undefined) return false;
  const list = (cidrs: readonly unknown[]): BlockList => {
    const blocks = new BlockList();
    for (const cidr of cidrs) {
      const [net = '', bits = ''] = String(cidr).split('/');
      blocks.addSubnet(net, Number(bits), isIPv6(net) ? 'ipv6' : 'ipv4');
    }
    return blocks;
  };
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  return (
    list([field(block, 'cidr')]).check(address, family) &&
    !list(listAt(block, 'except')).check(address, family)
  );
}

/** A label selector; an empty one selects everything. */
function matches(selector: unknown, labels: Labels): boolean {
  const wanted = Object.entries((field(selector, 'matchLabels') ?? {}) as Labels);
  return (
    wanted.every(([name, value]) => labels[name] === value) &&
    listAt(selector, 'matchExpressions').every((one) => {
      const value = labels[String(field(one, 'key'))];
      const isIn = value !== undefined && listAt(one, 'values').includes(value);
      if (field(one, 'operator') === 'In') return isIn;
      if (field(one, 'operator') === 'NotIn') return !isIn;
      return (field(one, 'operator') === 'Exists') === (value !== undefined);
    })
  );
}
