import type { Manifest } from './charts.js';
import { field, listAt } from './field.js';
import { isSelected, namesPod, type Pod } from './traffic.js';

/** A pod, or an address outside the cluster, that has no namespace. */
export interface Addressed {
  /** Also of the counters. */
  readonly name: string;
  readonly address: string;
  readonly pod?: Pod;
}

type Direction = 'Ingress' | 'Egress';

const TABLE = 'policies';

/** Name of the counter of what the policies of a pod drop. */
export const counterOf = (name: string, direction: Direction): string => `${direction.toLowerCase()}-${name}`;

/**
 * NetworkPolicies as rules of nftables in the node that routes between the pods: what comes from the node itself, such as
 * probes, is not forwarded and not asked, as the specification has it (networking.k8s.io/v1). What a pod is refused is
 * counted, by pod and direction. Throws where a policy has what is not compiled, such as names of ports.
 */
export function nftablesOf(policies: readonly Manifest[], ends: readonly Addressed[]): string {
  // What both ends refuse is counted where it leaves.
  const chains = (['Egress', 'Ingress'] as const).flatMap((direction) =>
    ends.flatMap((end) => {
      const rules = rulesOf(policies, ends, end, direction);
      return rules === undefined ? [] : [{ end, direction, rules, name: counterOf(end.name, direction) }];
    }),
  );
  return [
    `table inet ${TABLE} {`,
    ...chains.map(({ name }) => `  counter ${name} { }`),
    ...chains.map(({ name, rules }) =>
      [
        `  chain ${name} {`,
        ...rules.map((rule) => `    ${rule} return`),
        `    counter name "${name}" drop`,
        '  }',
      ].join('\n'),
    ),
    '  chain forward {',
    '    type filter hook forward priority 0; policy accept;',
    '    ct state established,related accept',
    ...chains.map(
      ({ end, direction, name }) =>
        `    ip ${direction === 'Egress' ? 'saddr' : 'daddr'} ${end.address} jump ${name}`,
    ),
    '  }',
    '}',
    '',
  ].join('\n');
}

/** What may pass; undefined where no policy selects the pod, so that everything may. */
function rulesOf(
  policies: readonly Manifest[],
  ends: readonly Addressed[],
  { pod }: Addressed,
  direction: Direction,
): readonly string[] | undefined {
  if (pod === undefined) return undefined;
  const selecting = policies.filter((policy) => isSelected(policy, pod, direction));
  if (selecting.length === 0) return undefined;
  const [rules, peers] = direction === 'Ingress' ? ['ingress', 'from'] : ['egress', 'to'];
  return selecting.flatMap((policy) =>
    listAt(policy, 'spec', rules).flatMap((rule) => {
      const namespace = policy.metadata.namespace ?? 'default';
      const named = peersOf(listAt(rule, peers), ends, namespace, direction);
      return named.flatMap((peer) => portsOf(listAt(rule, 'ports')).map((port) => `${peer}${port}`.trim()));
    }),
  );
}

/** A rule without peers names everybody. */
function peersOf(
  peers: readonly unknown[],
  ends: readonly Addressed[],
  namespace: string,
  direction: Direction,
): readonly string[] {
  const side = direction === 'Ingress' ? 'ip saddr' : 'ip daddr';
  if (peers.length === 0) return [''];
  return peers.flatMap((peer) => {
    const block = field(peer, 'ipBlock');
    if (block !== undefined) {
      const except = listAt(block, 'except').map((cidr) => `${side} != ${String(cidr)} `);
      return [`${side} ${String(field(block, 'cidr'))} ${except.join('')}`];
    }
    return ends
      .filter(({ pod }) => pod !== undefined && namesPod(peer, pod, namespace))
      .map(({ address }) => `${side} ${address} `);
  });
}

function portsOf(ports: readonly unknown[]): readonly string[] {
  if (ports.length === 0) return [''];
  return ports.map((one) => {
    const [port, end] = [field(one, 'port'), field(one, 'endPort')];
    if (typeof port !== 'number') throw new Error(`port ${String(port)}: names are not compiled`);
    const protocol = field(one, 'protocol') === 'UDP' ? 'udp' : 'tcp';
    return `${protocol} dport ${String(port)}${typeof end === 'number' ? `-${String(end)}` : ''}`;
  });
}
