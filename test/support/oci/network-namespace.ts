import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';

export interface NetworkNamespace {
  /** Its name for `ip netns`. */
  readonly name: string;
  /** For ContainerOptions.network. */
  readonly path: string;
  readonly remove: () => void;
}

/** A network of its own that has only a loopback, as a pod without neighbours. Needs root. */
export function networkNamespace(): NetworkNamespace {
  const name = `tributary-${randomBytes(4).toString('hex')}`;
  execFileSync('ip', ['netns', 'add', name]);
  execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  return { name, path: `/run/netns/${name}`, remove: () => execFileSync('ip', ['netns', 'delete', name]) };
}
