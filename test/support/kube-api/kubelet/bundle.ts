import type { Fields } from '../objects.js';
import type { Image } from './images.js';
import type { ContainerSpec, Mount } from './runtime.js';

/** Capabilities of a container that does not drop them, as container engines give them. */
const CAPABILITIES = [
  ...['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'],
  ...['CAP_SETFCAP', 'CAP_SETGID', 'CAP_SETPCAP', 'CAP_SETUID', 'CAP_SYS_CHROOT'],
];

const MASKED = ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'];
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

const special = (destination: string, type: string, ...options: readonly string[]): Fields => ({
  ...{ destination, type, source: type, options },
});
const SPECIAL: readonly Fields[] = [
  special('/proc', 'proc'),
  special('/dev', 'tmpfs', 'nosuid', 'strictatime', 'mode=755', 'size=65536k'),
  special('/dev/pts', 'devpts', 'nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'),
  special('/dev/shm', 'tmpfs', 'nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'),
  special('/dev/mqueue', 'mqueue', 'nosuid', 'noexec', 'nodev'),
  special('/sys', 'sysfs', 'nosuid', 'noexec', 'nodev', 'ro'),
];

const bind = ({ source, destination, readOnly }: Mount): Fields => ({
  ...{ destination, type: 'bind', source, options: ['rbind', readOnly ? 'ro' : 'rw', 'nosuid', 'nodev'] },
});

export interface Place {
  readonly hostname: string;
  /** Network namespace to join. */
  readonly networkPath: string;
}

/** config.json of a bundle (OCI runtime specification 1.0) for what a pod asks of one container. */
export function bundleOf(spec: ContainerSpec, image: Image, { hostname, networkPath }: Place): Fields {
  const capabilities = spec.dropsCapabilities ? [] : CAPABILITIES;
  const environment = { ...image.environment, HOSTNAME: hostname, ...spec.environment };
  const sets = ['bounding', 'effective', 'permitted', 'inheritable', 'ambient'];
  return {
    ociVersion: '1.0.2',
    hostname,
    process: {
      terminal: false,
      user: { uid: spec.user, gid: spec.group, additionalGids: spec.extraGroups },
      args: [
        ...(spec.command ?? image.entrypoint),
        ...(spec.args ?? (spec.command === undefined ? image.args : [])),
      ],
      env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      cwd: '/',
      capabilities: Object.fromEntries(sets.map((set) => [set, capabilities])) as Fields,
      noNewPrivileges: spec.noNewPrivileges,
    },
    root: { path: image.root, readonly: spec.readOnlyRoot },
    mounts: [...SPECIAL, ...image.mounts.map(bind), ...spec.mounts.map(bind)],
    linux: {
      namespaces: [
        ...['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })),
        { type: 'network', path: networkPath },
      ],
      resources: spec.memoryBytes === undefined ? {} : { memory: { limit: spec.memoryBytes } },
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
    },
  };
}
