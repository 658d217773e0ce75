import { randomBytes } from 'node:crypto';

import { tool } from './system-tools.js';

export interface NetworkNamespace {
  /** Its name for `ip netns`. */
  readonly name: string;
  /** For ContainerOptions.network. */
  readonly path: string;
  readonly remove: () => void;
}

/** A network of its own that has only a loopback, as a pod without neighbours. Needs root. */
export function networkNamespace(name = `tributary-${randomBytes(4).toString('hex')}`): NetworkNamespace {
  tool('ip', 'netns', 'add', name);
  tool('ip', '-n', name, 'link', 'set', 'lo', 'up');
  return { name, path: `/run/netns/${name}`, remove: () => void tool('ip', 'netns', 'delete', name) };
}

/** Joins two namespaces by a cable; the first gets .1 of this network of private addresses, the second .2. */
export function cable(first: NetworkNamespace, second: NetworkNamespace, network = '10.203.7'): void {
  const ip = (...words: readonly string[]): string => tool('ip', ...words);
  ip('-n', first.name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', second.name);
  for (const [index, { name }] of [first, second].entries()) {
    ip('-n', name, 'address', 'add', `${network}.${String(index + 1)}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
  }
}
